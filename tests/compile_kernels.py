"""Compile the fused kernels and those of acceptance at Pythia-2.8b's shape, for a capability, without a GPU.

    PYTHONPATH=scripts:benchmarks python tests/compile_kernels.py 80        # Pythia-2.8b
    PYTHONPATH=scripts:benchmarks python tests/compile_kernels.py 90 12b    # one stream, each width; a block

A process of its own: where kernels are interpreted (tests/conftest.py) they cannot be compiled. Prints each
kernel's shared memory, registers and spilled bytes; fails if one does not compile.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
import triton
import yaml
from library import SIZES
from sinkbench.engines.fused import layer_kernels
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.step import FusedStep
from sinkbench.engines.speculation import acceptance_kernel
from sinkbench.engines.speculation.acceptance_kernel import Acceptance
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.model.loading import random_model
from sinkbench.policies import Visibility
from sinkbench.quantization.formats import apply_format
from sinkbench.quantization.table import format_row
from triton._utils import canonicalize_dtype
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

ROOT = Path(__file__).resolve().parent.parent
LAUNCH_OPTIONS = ("num_warps", "maxnreg", "launch_pdl")
ALIGNED = [["tt.divisibility", 16]]


class KernelRecorder:
    """Stands in for a kernel: keeps what it would have been launched with."""

    def __init__(self, kernel, launches: list):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, _):
        return lambda *arguments, **constants: self.launches.append((self.kernel, arguments, constants))


def type_of(argument):
    if isinstance(argument, tuple):
        return tuple(map(type_of, argument))
    if isinstance(argument, torch.Tensor):
        return "*" + canonicalize_dtype(argument.dtype)
    return "fp32" if isinstance(argument, float) else "i32"


def alignments(argument, path: tuple[int, ...]) -> dict:
    """What the launcher would find out: pointers to buffers, and multiples of 16, are aligned."""
    if isinstance(argument, tuple):
        parts = (alignments(part, (*path, index)) for index, part in enumerate(argument))
        return {key: value for part in parts for key, value in part.items()}
    is_aligned = isinstance(argument, torch.Tensor) or (isinstance(argument, int) and argument % 16 == 0)
    return {path: ALIGNED} if is_aligned else {}


def compile_launch(kernel, arguments: tuple, constants: dict, capability: int) -> None:
    given = {name: constants.pop(name) for name in LAUNCH_OPTIONS if name in constants}
    options = {name: value for name, value in given.items() if value is not None}
    names = kernel.arg_names
    signature = {name: type_of(value) for name, value in zip(names, arguments, strict=False)}
    signature |= dict.fromkeys(constants, "constexpr")
    fixed = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, signature, fixed, alignments(arguments, ()))
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    print(f"{kernel.__name__} shared_bytes={made.metadata.shared} {usage(made.asm['cubin'])}", flush=True)


def launches_of(shape: dict, number_format: str, batch: int, block: int, pdl: bool) -> list[tuple]:
    """The different launches of a step of one layer, on tensors without memory."""
    with torch.device("meta"):
        model = random_model(shape | {"num_hidden_layers": 1}, 0, torch.bfloat16, "meta").requires_grad_(
            False
        )
        model = apply_format(format_row(number_format), model)
        ring = FusedRing(model, Visibility(4, 2044), batch, block=max(1, block))
        step = FusedStep(model, ring, pdl, block=block)
        launches, own = (
            [],
            {name: value for name, value in vars(layer_kernels).items() if name.endswith("_kernel")},
        )
        for name, kernel in own.items():
            setattr(layer_kernels, name, KernelRecorder(kernel, launches))
        step()
        for name, kernel in own.items():
            setattr(layer_kernels, name, kernel)
    return launches


def acceptance_launches() -> list[tuple]:
    """Those that end a round of four drafts: on the target's logits, and on a rule's verdict."""
    launches, own = [], {}
    for name in ("greedy_kernel", "settle_kernel"):
        own[name] = getattr(acceptance_kernel, name)
        setattr(acceptance_kernel, name, KernelRecorder(own[name], launches))
    with torch.device("meta"):
        ids, scores = [torch.zeros(size, dtype=torch.long) for size in (4, 2, 1, 1)], torch.zeros(5, 50304)
        end, drafts, tail, positions = Acceptance(torch.device("meta")), ids[0], ids[1], tuple(ids[2:])
        for rule in (Greedy(), Sampled(4, 50304, 1.0, 0, torch.device("cpu"))):
            rule.verify = lambda *_: positions
            end(rule, drafts, None, scores, tail, positions)
    for name, kernel in own.items():
        setattr(acceptance_kernel, name, kernel)
    return launches


def usage(cubin: bytes) -> str:
    """Registers, and bytes of stack a thread, which are what was spilled, as the toolkit states them."""
    with NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", said.stdout).groups()
    return f"registers={registers} stack_bytes={stack}"


# Number format, streams, and tokens of a block.
STEPS = (("none", 1, 0), ("none", 16, 0), ("int8_mlp", 1, 0), ("int4", 16, 0), ("none", 1, 5))
STEPS += (("none", 1, 16), ("int8_mlp", 1, 5), ("int4", 1, 5))
OF_ANY_SIZE = (*((word, 1, 0) for word in ("none", "int8_mlp", "int4")), ("none", 1, 5))

if __name__ == "__main__":
    capability = int(sys.argv[1])
    study = yaml.safe_load((ROOT / "workflow/studies/latency.yaml").read_text())
    shape = study["model"]["shape"] | (SIZES[sys.argv[2]] if len(sys.argv) > 2 else {})
    for step in STEPS if len(sys.argv) < 3 else OF_ANY_SIZE:
        for launch in launches_of(shape, *step, pdl=capability >= 90):
            compile_launch(*launch, capability)
    for launch in acceptance_launches() if len(sys.argv) < 3 else ():
        compile_launch(*launch, capability)
