"""Synthetic traces of decode steps, as torch's profiler would write them."""

from contextlib import contextmanager

from sinkbench.measure import trace
from sinkbench.results import step_parts

D, F, V, LAYERS = 64, 256, 1000, 2
# Shapes of activations and transposed weight of the products.
QKV = [[1, D], [D, 3 * D]]
OUTPUT = [[1, D], [D, D]]
UP = [[1, D], [D, F]]
DOWN = [[1, F], [F, D]]
LM = [[1, D], [D, V]]
SDPA = "aten::scaled_dot_product_attention"
NORM = "aten::native_layer_norm"
FLASH = "flash_fwd_splitkv_kernel"
# operator, shapes of its inputs, kernel, part
LAYER = [
    (NORM, [[1, D], [D], [D]], "layer_norm_kernel", step_parts.NORMS),
    ("aten::addmm", [[3 * D], *QKV], "gemv2T", step_parts.PROJECTIONS),
    ("aten::mul", [[1, 4, 1, 4]], "elementwise", step_parts.ATTENTION),
    ("aten::copy_", [[4, 33, 16]], "Memcpy DtoD", step_parts.ATTENTION),
    (SDPA, [[1, 4, 33, 16]], FLASH, step_parts.ATTENTION),
    ("aten::addmm", [[D], *OUTPUT], "gemv2T", step_parts.PROJECTIONS),
    (NORM, [[1, D], [D], [D]], "layer_norm_kernel", step_parts.NORMS),
    ("aten::addmm", [[F], *UP], "nvjet_splitK", step_parts.MLP),
    ("aten::gelu", [[1, F]], "GeluCUDAKernelImpl", step_parts.MLP),
    ("aten::addmm", [[D], *DOWN], "gemv2T", step_parts.MLP),
    ("aten::add", [[1, D], [1, D]], "elementwise", step_parts.NORMS),
]
STEP = [
    ("aten::embedding", [[V, D], [1]], "gather", step_parts.OTHER),
    *LAYER * LAYERS,
    (NORM, [[1, D], [D], [D]], "layer_norm_kernel", step_parts.NORMS),
    ("aten::mm", LM, "gemm_lm", step_parts.HEAD),
]
COMPILED = [
    ("triton_poi_fused_embedding_0", [[V, D], [1]], step_parts.OTHER),
    ("triton_per_fused_native_layer_norm_1", [[1, D]], step_parts.NORMS),
    ("triton_red_fused_addmm_2", [[1, D], [3 * D, D]], step_parts.PROJECTIONS),
    (
        "triton_red_fused_addmm_gelu_3",
        [[1, D], [F, D]],
        step_parts.MLP,
    ),  # reordered: it does not need attention
    ("triton_poi_fused_add_cat_mul_neg_4", [[1, 4, 1, 16]], step_parts.ATTENTION),
    ("triton_red_fused__scaled_dot_product_flash_attention_5", [[4, 33, 16]], step_parts.ATTENTION),
    ("triton_red_fused_addmm_6", [[1, D], [D, D]], step_parts.PROJECTIONS),
    ("triton_red_fused_addmm_7", [[1, F], [D, F]], step_parts.MLP),
    ("triton_per_fused_add_native_layer_norm_8", [[1, D]], step_parts.NORMS),
    ("triton_red_fused_mm_9", [[1, D], [V, D]], step_parts.HEAD),
]


class Trace:
    """Writes the events that torch's profiler would: every call lasts 10 us and every kernel 4."""

    def __init__(self):
        self.events, self.now, self.correlation, self.part = [], 0.0, 0, None

    def launch(self, call: str, *kernels: str) -> None:
        self.correlation += 1
        about = {"correlation": self.correlation}
        self._add("cuda_runtime", call, self.now + 1, 2, about)
        for index, kernel in enumerate(kernels):
            kind = "gpu_memcpy" if kernel.startswith("Memcpy") else "kernel"
            self._add(kind, kernel, self.now + 50 + 5 * index, 4, about)
        self.now += 5

    @contextmanager
    def inside(self, category: str, name: str, **about):
        begun = self.now
        yield
        self._add(category, name, begun, self.now + 1 - begun, about)
        self.now += 2

    def annotate(self, part: str) -> None:
        """What the hooks of a model's modules write."""
        self.part = part
        with self.inside("user_annotation", trace.PART + part):
            pass

    def run(self, operators: list[tuple]) -> None:
        """Operators (name, shapes, kernel), with their part as the fourth where hooks annotate it."""
        for name, shapes, kernel, *annotated in operators:
            if annotated and annotated != [self.part]:
                self.annotate(*annotated)
            with self.inside("cpu_op", name, **{"Input Dims": [*shapes, [], [[1, D], [1, D]]]}):
                self.launch("cudaLaunchKernel", kernel)

    def compiled(self, kernels: list[tuple]):
        """The same of compiled code, where hooks do not run; the region reads all weights."""
        with self.inside("cpu_op", "CompiledFxGraph", **{"Input Dims": [*QKV, *OUTPUT, *UP, *LM]}):
            self.run([(name, shapes, name) for name, shapes, _ in kernels])

    def step(self):
        return self.inside("user_annotation", trace.STEP)

    def _add(self, category: str, name: str, start: float, length: float, about: dict) -> None:
        event = {"ph": "X", "cat": category, "name": name, "ts": start, "dur": length, "pid": 1, "tid": 1}
        self.events.append({**event, "args": about})
