"""Which part of a decode step each launch belongs to, by the first of these rules that applies.

1. The engine's own PARTS name the kernel.
2. A kernel of a CUDA graph has the part that it had when it was launched alone: in the latest equal sequence
   of kernels, since an engine warms up before it captures. Without such a sequence its name decides.
3. Compiled code calls no module. A product is known by the shape of the weight that its operator reads, other
   kernels by the operators whose names they carry. The rest belongs to its place: attention follows the QKV
   projection; residual and conversions go with the norms.
4. Otherwise the part is that of the module that runs or ran last. Hooks of the modules annotate the trace.

A launch that may belong to several parts counts for all of them together.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from math import prod

import torch
from torch.profiler import record_function

from sinkbench.measure.trace import PART, Launch
from sinkbench.model.families import Role, family_of
from sinkbench.results.step_parts import ATTENTION, HEAD, MLP, NORMS, OTHER, PROJECTIONS

# Part of a module by its role in the family, and of what follows it. The LM head's weight is read, the module
# never called.
ROLES = {
    Role.EMBEDDING: (OTHER, OTHER),
    Role.NORM: (NORMS, NORMS),
    Role.QKV: (PROJECTIONS, ATTENTION),
    Role.QKV_NORM: (NORMS, ATTENTION),
    Role.OUT: (PROJECTIONS, NORMS),
    Role.MLP: (MLP, NORMS),
    Role.LAST_NORM: (NORMS, HEAD),
    Role.HEAD: (HEAD, HEAD),
}
DOUBTFUL = f"{HEAD}+{MLP}+{PROJECTIONS}"  # a matrix product that may be any of them
# What the words of a kernel or operator say; the first that fits. Activations also end products of the MLP.
NAMES = {
    r"embedding": OTHER,
    r"scaled_dot_product|softmax|flash|fmha|sdpa|attention|bmm": ATTENTION,
    r"gelu|silu|relu": MLP,
    r"addmm|(?<![a-z])mm(?![a-z])|gemm|gemv|nvjet|xmma|cublas|split_?k_?reduce": DOUBTFUL,
    r"layer_?norm|rms_?norm|rsqrt": NORMS,
}
Shapes = dict[tuple[int, int], set[str]]  # roles of modules by a weight's first size and number of elements


def annotate_modules(model) -> None:
    """Let the modules of `model` annotate traces, from now on, with the part of the launches that follow."""
    of_name = family_of(model).roles
    for path, module in model.named_modules():
        if role := of_name.get(path.rpartition(".")[2]):
            before, after = map(_hook, ROLES[role])
            module.register_forward_pre_hook(before)
            module.register_forward_hook(after)


def _hook(part: str) -> Callable[..., None]:
    def annotate(*_) -> None:
        if not torch.compiler.is_compiling():  # compiled code is to be as if there were no hook
            with record_function(PART + part):
                pass

    return annotate


def weight_shapes(model) -> Shapes:
    """The linear layers by their weights' shapes; layers of equal shape share one.

    Operators see a weight [rows, K] as it is, transposed, or while it is dequantised: packed [rows, words] or
    unpacked [rows, ...].
    """
    shapes, of_name = defaultdict(set), family_of(model).roles
    for path, linear in model.named_modules():
        if not hasattr(linear, "in_features"):
            continue
        role = next(of_name[name] for name in path.split(".") if name in of_name)
        rows, elements = linear.out_features, linear.out_features * linear.in_features
        packed = [
            buffer.numel() for buffer in linear.buffers() if buffer.dim() == 2 and buffer.numel() > rows
        ]
        for seen in ((linear.in_features, elements), *((rows, size) for size in (elements, *packed))):
            shapes[seen].add(role)
    return dict(shapes)


def attribute(launches: list[Launch], shapes: Shapes, own: dict[str, str]) -> list[str]:
    """The part (see step_parts) of every launch of a trace.

    Args:
        launches: those of the engine's warm-up included.
        own: part by kernel name, from the engine.
    """
    parts: list[str] = []
    alone: list[tuple[str, str]] = []  # kernels that no graph launched, and their parts
    for graph, group in groupby(launches, key=lambda launch: launch.graph):
        group = list(group)
        kernels = [_kind(launch.name) for launch in group]
        if graph is None:
            found = list(_parts_alone(group, shapes))
            alone += zip(kernels, found, strict=True)
        else:
            found = _graph_parts(kernels, alone)
        parts += found
    return [own.get(launch.name, part) for launch, part in zip(launches, parts, strict=True)]


def _kind(name: str) -> str:
    """A kernel's name, but of copies and fills only that: graphs tell less of their memory."""
    return name.split()[0] if name.startswith("Mem") else name


def _graph_parts(kernels: list[str], alone: list[tuple[str, str]]) -> list[str]:
    """Rule 2."""
    names = [name for name, _ in alone]
    for start in range(len(names) - len(kernels), -1, -1):
        if names[start : start + len(kernels)] == kernels:
            return [part for _, part in alone[start : start + len(kernels)]]
    return [_named(name) or OTHER for name in kernels]


def _parts_alone(launches: list[Launch], shapes: Shapes) -> Iterator[str]:
    """Rules 3 and 4."""
    place = OTHER
    for launch in launches:
        part, place = _compiled(launch, shapes, place) if launch.compiled else (launch.part, launch.part)
        yield part


def _compiled(launch: Launch, shapes: Shapes, place: str) -> tuple[str, str]:
    """The launch's part, and the place of those that follow."""
    words = " ".join((launch.name, *(operator.name for operator in launch.operators)))
    read = _modules_read(launch, shapes)
    if not read or "embedding" in words:  # an embedding reads a matrix of the LM head's shape
        part = _named(words) or place
        return part, NORMS if (part, place) == (NORMS, OTHER) else place
    # The MLP changes no place: compilers move it before attention.
    after = {place if role == Role.MLP else ROLES[role][1] for role in read}
    part = "+".join(sorted({ROLES[role][0] for role in read}))
    return part, after.pop() if len(after) == 1 else place


def _modules_read(launch: Launch, shapes: Shapes) -> set[str]:
    """Roles of the modules that the weight may be of; none if no input has a weight's shape.

    The weight is the last input that has: activations, which may have such a shape too, come before.
    """
    inputs = (dims for operator in launch.operators for dims in reversed(operator.shapes))
    return next(filter(None, (shapes.get((dims[0], prod(dims))) for dims in inputs)), set())


def _named(words: str) -> str | None:
    return next((part for names, part in NAMES.items() if re.search(names, words, re.IGNORECASE)), None)
