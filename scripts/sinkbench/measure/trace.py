"""From the events of torch's profiler (its Chrome trace) to the launches of each decode step.

A launch is a kernel, copy or fill on a CUDA device, or an operator on a CPU. What launched a kernel is known
by its correlation with the CUDA call, which lies in time inside the operators that made it; kernels of
a CUDA graph share one call and have no operators.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sinkbench.errors import Unavailable

HOST = ("cpu_op", "user_annotation", "cuda_runtime", "cuda_driver")
DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")


@dataclass(frozen=True, eq=False)
class Operator:
    """One call of an operator, equal only to itself; shapes are those of its tensor inputs, in order."""

    name: str
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Launch:
    """One piece of work.

    Args:
        step: index of the marked step that launched it; None outside all of them.
        name: of the kernel, or of the operator on a CPU.
        operators: that it was launched in, outermost first, on a CPU with itself; none in a CUDA graph.
        us: time that it is charged with, in microseconds: on a CPU its own without that of operators inside
            it, on CUDA see `shared_times`.
    """

    step: int | None
    name: str
    operators: tuple[Operator, ...]
    us: float


def read_launches(events: list[dict], mark: str, cuda: bool) -> list[Launch]:
    """All launches in the order in which they were made.

    Args:
        events: "traceEvents" of a Chrome trace, recorded with input shapes.
        mark: name of the annotation (record_function) around every step.
        cuda: read the device's work instead of the CPU's operators.

    Raises:
        Unavailable: the trace lacks the calls of some kernels, so that nothing is known of their steps.
    """
    events = [event for event in events if event.get("ph") == "X"]
    calls = list(_nested([event for event in events if event.get("cat") in HOST]))
    context = _Context(calls, mark)
    return _on_device(events, calls, context) if cuda else _on_host(calls, context)


class _Context:
    """Which step and which operators an event lies in."""

    def __init__(self, calls: list[tuple[dict, tuple]], mark: str):
        marks = sorted((call for call, _ in calls if call["name"] == mark), key=lambda call: call["ts"])
        self.steps = {id(call): index for index, call in enumerate(marks)}
        self.operators = {id(call): _operator(call) for call, _ in calls if call["cat"] == "cpu_op"}

    def of(self, around: tuple[dict, ...]) -> tuple[int | None, tuple[Operator, ...]]:
        steps = [self.steps[id(call)] for call in around if id(call) in self.steps]
        operators = [self.operators[id(call)] for call in around if id(call) in self.operators]
        return steps[0] if steps else None, tuple(operators)


def _on_host(calls: list[tuple[dict, tuple]], context: _Context) -> list[Launch]:
    own = {id(call): call["dur"] for call, _ in calls if call["cat"] == "cpu_op"}
    for call, around in calls:
        outer = [other for other in around if other["cat"] == "cpu_op"]
        if outer and call["cat"] == "cpu_op":
            own[id(outer[-1])] -= call["dur"]
    operators = [(call, around) for call, around in calls if call["cat"] == "cpu_op"]
    made = [(*context.of((*around, call)), call) for call, around in operators]
    return [Launch(step, call["name"], inside, max(0.0, own[id(call)])) for step, inside, call in made]


def _on_device(events: list[dict], calls: list[tuple[dict, tuple]], context: _Context) -> list[Launch]:
    made_by = {call["args"]["correlation"]: (call, around) for call, around in calls if _launches(call)}
    work = [event for event in events if event.get("cat") in DEVICE]
    if strays := [event["name"] for event in work if event["args"]["correlation"] not in made_by]:
        raise Unavailable(f"the profiler's trace has {len(strays)} kernels without a call, as {strays[0]}")
    work.sort(key=lambda event: (made_by[event["args"]["correlation"]][0]["ts"], event["ts"]))
    times = shared_times([(event["ts"], event["ts"] + event["dur"]) for event in work])
    made = [
        (event, us, *made_by[event["args"]["correlation"]]) for event, us in zip(work, times, strict=True)
    ]
    return [_kernel(event, us, call, *context.of(around)) for event, us, call, around in made]


def _kernel(event: dict, us: float, call: dict, step: int | None, operators: tuple[Operator, ...]) -> Launch:
    return Launch(step, event["name"], () if "GraphLaunch" in call["name"] else operators, us)


def shared_times(spans: list[tuple[float, float]]) -> list[float]:
    """Time of each span (start, end); where several overlap, each has an equal share.

    So the times add up to the time in which anything runs at all (the union of the spans). Kernels overlap
    on parallel branches of a graph and with programmatic dependent launch.
    """
    times, running, before = [0.0] * len(spans), set(), 0.0
    starts = [(start, True, index) for index, (start, end) in enumerate(spans) if end > start]
    ends = [(end, False, index) for index, (start, end) in enumerate(spans) if end > start]
    for now, begins, index in sorted(starts + ends):
        for other in running:
            times[other] += (now - before) / len(running)
        (running.add if begins else running.discard)(index)
        before = now
    return times


def _nested(calls: list[dict]) -> Iterator[tuple[dict, tuple[dict, ...]]]:
    """Every call with those that it lies in on its thread, outermost first, in the order of their starts."""
    around: dict[tuple, list[dict]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: (call["ts"], -call["dur"])):
        outer = around[call["pid"], call["tid"]]
        while outer and outer[-1]["ts"] + outer[-1]["dur"] <= call["ts"]:
            outer.pop()
        yield call, tuple(outer)
        outer.append(call)


def _launches(call: dict) -> bool:
    return call["cat"] in ("cuda_runtime", "cuda_driver") and "correlation" in call["args"]


def _operator(call: dict) -> Operator:
    """Inputs that are no tensors have an empty shape and lists of tensors several: both are left out."""
    inputs = call.get("args", {}).get("Input Dims", [])
    shapes = [tuple(dims) for dims in inputs if dims and not any(isinstance(size, list) for size in dims)]
    return Operator(call["name"], tuple(shapes))
