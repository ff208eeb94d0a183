"""What a machine lacks is unavailable, by named causes; every other error is a fault and fails the job."""

import gc
from contextlib import contextmanager, nullcontext

import pytest
import torch
from sinkbench.artifacts.files import FAILED
from sinkbench.errors import Unavailable
from sinkbench.measure.outcome import failure
from sinkbench.runtime import cuda_graph
from sinkbench.runtime.cuda_graph import WARM_UPS, capture
from sinkbench.runtime.torch_compile import LACKS, compiled
from sinkbench.runtime.unavailable import NOT_CAPTURED, unavailable_on
from torch._dynamo.exc import BackendCompilerFailed, FailOnRecompileLimitHit
from torch._inductor import config as inductor
from torch._inductor.exc import InductorError
from triton.runtime.errors import OutOfResources, PTXASError

CAPTURING = "CUDA error: operation not permitted when stream is capturing\nSearch for it in the manual."
INVALIDATED = "CUDA error: previous error\nSearch for `cudaErrorStreamCaptureInvalidated' in the manual."
CAUSES = {
    "a waiting operation": RuntimeError(CAPTURING),
    "the end of a capture": torch.AcceleratorError(INVALIDATED),
    "no package": ModuleNotFoundError("No module named 'fbgemm_gpu'"),
    "no kernel": NotImplementedError("Could not run 'aten::x' with arguments from the 'CUDA' backend."),
    "no compiler": RuntimeError("Failed to find C compiler. Please specify via CC environment variable."),
    "a large kernel": OutOfResources(262144, 166912, "shared memory"),
    "large kernels": RuntimeError("No valid triton configs. OutOfResources: out of resource: shared memory"),
    "few rows": RuntimeError("self.size(0) needs to be greater than 16, but got 1"),
    "no graph": RuntimeError("skipping cudagraphs due to mutated inputs (1 instances)"),
}
FAULTS = {
    "memory": torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    "assertion": torch.AcceleratorError("CUDA error: device-side assert triggered"),
    "shapes": RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    "assembler": PTXASError("unexpected register count"),
    "assemblers": RuntimeError("No valid triton configs. PTXASError: PTXAS error: unexpected"),
    "many shapes": FailOnRecompileLimitHit("recompile_limit reached with fullgraph=True"),
    "index": IndexError("list index out of range"),
    "our module": ImportError("cannot import name 'x'", name="sinkbench.model"),
}


def raised(error: Exception, wrap: type[Exception] | None = None) -> Exception | None:
    """What becomes of an error, or of one that wraps it as torch's compilers do."""
    try:
        with unavailable_on(*LACKS, what="here"):
            raise wrap(error, None) if wrap else error
    except Exception as found:
        return found


@pytest.mark.parametrize("wrap", [None, InductorError])
@pytest.mark.parametrize("name", CAUSES)
def test_a_named_cause_is_unavailable_in_one_line(name, wrap):
    found = raised(CAUSES[name], wrap)
    assert isinstance(found, Unavailable)
    assert str(found) == f"here: {str(CAUSES[name]).splitlines()[0]}"
    assert failure(found).startswith("unavailable: here: ")


@pytest.mark.parametrize("wrap", [None, InductorError])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stays_what_it_is_and_fails_the_job(name, wrap):
    found = raised(FAULTS[name], wrap)
    assert type(found) is (wrap or type(FAULTS[name]))
    assert failure(found).startswith(FAILED)


@pytest.mark.parametrize("suppressed", [False, True])
def test_what_a_library_did_without_is_not_what_a_fault_began_with(suppressed):
    fault = RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")
    with pytest.raises(RuntimeError, match="size of tensor"), unavailable_on(*LACKS, what="here"):
        try:
            raise ModuleNotFoundError("No module named 'optional'")
        except ImportError:
            if suppressed:
                raise fault from None
            raise fault  # noqa: B904 (the chain is what Python leaves)


def test_a_package_that_an_error_names_as_its_cause_is_lacking():
    with (
        pytest.raises(Unavailable, match="No module named 'fbgemm_gpu'"),
        unavailable_on(*LACKS, what="here"),
    ):
        try:
            raise ModuleNotFoundError("No module named 'fbgemm_gpu'")
        except ImportError as error:
            raise RuntimeError("this format needs a package") from error


def test_what_was_refused_already_keeps_its_words():
    assert str(raised(Unavailable("torch's attention kernel: none"))) == "torch's attention kernel: none"


@pytest.mark.parametrize("wrap", [RuntimeError, None])
def test_out_of_memory_stays_out_of_memory(wrap):
    with pytest.raises(torch.OutOfMemoryError, match="no room"), unavailable_on(NOT_CAPTURED, what="graph"):
        try:
            raise torch.OutOfMemoryError("no room")
        finally:
            if wrap:
                raise wrap(INVALIDATED)


@pytest.fixture
def fake_cuda(monkeypatch):
    """A capture runs its step once more, and its end fails after an error in it, as CUDA's does."""

    @contextmanager
    def graph(*_, **__):
        try:
            yield
        except RuntimeError:
            raise torch.AcceleratorError(INVALIDATED)  # noqa: B904 (the chain is what CUDA leaves)

    class Stream:
        def wait_stream(self, _):
            pass

    for name, value in {"graph": graph, "stream": nullcontext, "CUDAGraph": Stream}.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, raising=False)
    monkeypatch.setattr(cuda_graph, "_side_stream", Stream)


def test_python_collects_nothing_within_a_capture(fake_cuda):
    """A graph that it finds and destroys would end the capture, which would be called unavailable."""
    collects = []
    capture(lambda: collects.append(gc.isenabled()))
    assert collects == [True] * WARM_UPS + [False]
    assert gc.isenabled()


def failing(error: Exception, run: int):
    """A step whose `run`-th run, from 0, raises."""
    runs = iter(range(run + 1))

    def step():
        if next(runs) == run:
            raise error

    return step


def test_an_operation_that_no_graph_can_hold_is_unavailable(fake_cuda):
    with pytest.raises(Unavailable, match=r"^no CUDA graph: .* stream is capturing$"):
        capture(failing(RuntimeError(CAPTURING), WARM_UPS))


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("run", [0, WARM_UPS])
def test_a_fault_of_the_step_is_none_of_the_graph_s(fake_cuda, name, run):
    """Neither in the warm-up nor in the capture, whose end fails too."""
    with pytest.raises(type(FAULTS[name])) as caught:
        capture(failing(FAULTS[name], run))
    assert failure(caught.value).startswith(FAILED)


def test_the_warm_up_is_not_in_the_catch(fake_cuda):
    with pytest.raises(RuntimeError, match="stream is capturing"):
        capture(failing(RuntimeError(CAPTURING), 0))


def test_what_torch_cannot_trace_is_unavailable():
    def breaks(x):
        print("a graph break")
        return x.item()

    with pytest.raises(Unavailable, match=r"^torch\.compile: \S[^\n]*$"):
        compiled(breaks)(torch.ones(1))


def test_a_machine_without_a_compiler_is_unavailable():
    with (
        inductor.patch("cpp.cxx", ("no-such-compiler",)),
        pytest.raises(Unavailable, match=r"^torch\.compile: No working C\+\+ compiler"),
    ):
        compiled(lambda x: x.sin() * 7.25)(torch.ones(2003))


@pytest.mark.parametrize("bug", [lambda x: x @ x, lambda x: x.nothing, lambda x: [x][1]])
def test_a_bug_in_what_is_compiled_is_a_fault(bug):
    """torch's compiler says of each that it is unsupported; it is ours."""
    with pytest.raises(Exception) as caught:
        compiled(bug)(torch.ones(2, 3))
    assert not isinstance(caught.value, Unavailable)
    assert failure(caught.value).startswith(FAILED)


def test_a_compiler_that_breaks_down_is_a_fault():
    def backend(*_):
        raise RuntimeError("ptxas fatal: unexpected")

    broken = torch.compile(lambda x: x + 1, backend=backend)
    with pytest.raises(BackendCompilerFailed), unavailable_on(*LACKS, what="torch.compile"):
        broken(torch.ones(2))
