"""From the events of torch's profiler (its Chrome trace) to the launches of decode steps.

A launch is a kernel, copy or fill on a CUDA device, or an operator on a CPU. A kernel's correlation names the
CUDA call that launched the kernel. That call lies in time inside operators and annotations.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

from sinkbench.errors import Unavailable
from sinkbench.results.step_parts import OTHER

STEP = "sinkbench.step"  # an annotation (record_function) around a step to be profiled
PART = "sinkbench.part."  # begins an annotation that names the part of all launches after the annotation
HOST = ("cpu_op", "user_annotation", "cuda_runtime", "cuda_driver")
DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")


class Operator(NamedTuple):
    """One call of an operator; shapes are those of its tensor inputs, in order."""

    name: str
    shapes: tuple[tuple[int, ...], ...]


@dataclass
class Launch:
    """One piece of work.

    Args:
        name: of the kernel, or of the operator on a CPU.
        us: microseconds charged. On a CPU operators inside are left out; on CUDA see `own_times`.
        step: index of the annotated step that launched this; None outside of annotated steps.
        part: annotated last before the launch; OTHER at the beginning of an annotated step.
        operators: around the launch, outermost first, and on a CPU the launch itself. Compiled regions, whose
            inputs are those of many operators, are none.
        compiled: whether code of torch.compile launched this.
        graph: number of the CUDA graph's launch that this belongs to, if any.
    """

    name: str
    us: float = 0.0
    step: int | None = None
    part: str = OTHER
    operators: tuple[Operator, ...] = ()
    compiled: bool = False
    graph: int | None = None


def read_launches(events: list[dict], cuda: bool) -> list[Launch]:
    """All launches in the order in which they were made.

    Args:
        events: "traceEvents" of a Chrome trace, recorded with input shapes.
        cuda: read the device's work instead of the CPU's operators.

    Raises:
        Unavailable: the trace lacks the calls of some kernels, so that nothing is known of their steps.
    """
    calls = _host_calls(event for event in events if event.get("cat") in HOST)
    if not cuda:
        return [call for event, call in calls if event["cat"] == "cpu_op"]
    made_by = {event["args"]["correlation"]: (event["ts"], call) for event, call in calls if _is_cuda(event)}
    work = [(event, event["args"]["correlation"]) for event in events if event.get("cat") in DEVICE]
    if strays := [event["name"] for event, call in work if call not in made_by]:
        raise Unavailable(f"the profiler's trace has {len(strays)} kernels without a call, as {strays[0]}")
    work.sort(key=lambda pair: (made_by[pair[1]][0], pair[0]["ts"]))
    times = own_times([(event["ts"], _end(event)) for event, _ in work])
    made = [(event["name"], us, made_by[call][1]) for (event, call), us in zip(work, times, strict=True)]
    return [replace(call, name=name, us=us) for name, us, call in made]


def own_times(spans: list[tuple[float, float]]) -> list[float]:
    """Time of each span (start, end) in which none that started before it runs.

    So the times add up to the time in which anything runs at all (the union of the spans), and a kernel that
    is already there but waits for the one before it is charged with none of that wait. A library's kernels
    may overlap so; an engine whose own do is profiled without (see engines).
    """
    times, latest = [0.0] * len(spans), float("-inf")
    for index in sorted(range(len(spans)), key=spans.__getitem__):
        start, end = spans[index]
        times[index] = max(0.0, end - max(start, latest))
        latest = max(latest, end)
    return times


def _host_calls(events: Iterable[dict]) -> list[tuple[dict, Launch]]:
    """Every event on the host with what it would be as a launch, in the order of their starts."""
    steps, part, calls, stacks = count(), OTHER, [], defaultdict(list)
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        around, name = stacks[event["pid"], event["tid"]], event["name"]
        while around and _end(around[-1][0]) <= event["ts"]:
            around.pop()
        call = replace(around[-1][1] if around else Launch(""), name=name, us=event["dur"])
        if name == STEP:
            call.step, part = next(steps), OTHER
        elif name.startswith(PART):
            part = name.removeprefix(PART)
        elif "Compiled" in name:
            call.compiled = True
        elif event["cat"] == "cpu_op":
            call.operators = (*call.operators, _operator(event))
        elif "GraphLaunch" in name:
            call.graph = event["args"]["correlation"]
        call.part = part
        if event["cat"] == "cpu_op":
            _leave_out(event["dur"], [outer for other, outer in around if other["cat"] == "cpu_op"])
        around.append((event, call))
        calls.append(around[-1])
    return calls


def _leave_out(us: float, operators: list[Launch]) -> None:
    """Charge the innermost operator with that much less."""
    if operators:
        operators[-1].us = max(0.0, operators[-1].us - us)


def _operator(event: dict) -> Operator:
    """Inputs that are no tensors have an empty shape and lists of tensors several: both are left out."""
    inputs = event.get("args", {}).get("Input Dims", [])
    shapes = [tuple(dims) for dims in inputs if dims and not any(isinstance(size, list) for size in dims)]
    return Operator(event["name"], tuple(shapes))


def _is_cuda(event: dict) -> bool:
    return event["cat"].startswith("cuda") and "correlation" in event["args"]


def _end(event: dict) -> float:
    return event["ts"] + event["dur"]
