"""The decode engines that a config can name: one row each, plain data.

Planning alone reads this table. A row travels in the settings of the jobs that need it. So a new row, or an
edit of another one, makes no result stale.
"""

from dataclasses import dataclass, field

from sinkbench.errors import check_name
from sinkbench.policies import CacheLayout

RING = ("ring", "growing")
REFRESHED = (*RING, "refreshed", "refreshed_with_queries")
DTYPES = ("float32", "bfloat16", "float16")
BLOCKS = "speculation.block_ring"


@dataclass(frozen=True)
class Row:
    """An implementation with its options.

    Args:
        implementation: module of engines whose class Engine decodes.
        caches: cache layouts that it decodes (see policies).
        options: arguments of Engine; kernels of torch's attention by their names in SDPBackend.
        max_batch: streams that it decodes in step.
        dtypes: of models that it decodes.
        blocks: module of engines whose class Blocks reads several tokens at once, and so verifies drafts
            (engines.speculation); None: it does not.
        block_tokens: the most that it reads at once; None: any number.
        compiles: whether its first steps wait for torch.compile.
        one_launch: whether the host launches a whole step at once, in static shapes.
    """

    implementation: str
    caches: tuple[CacheLayout, ...]
    options: dict = field(default_factory=dict)
    max_batch: int = 1
    dtypes: tuple[str, ...] = DTYPES
    blocks: str | None = None
    block_tokens: int | None = None
    compiles: bool = False
    one_launch: bool = False


def _compiled(caches: tuple[str, ...], mode: str, one_launch: bool = False, **options) -> Row:
    return Row("static", caches, {"mode": mode, **options}, compiles=True, one_launch=one_launch)


ENGINES = {
    # transformers as it comes: its dynamic cache, its own rotation, an attention by name
    "hf": Row("hf", ("growing",)),
    "hf_eager": Row("hf", ("growing",), {"attention": "eager"}),
    "hf_math": Row("hf", ("growing",), {"kernel": "MATH"}),
    "hf_efficient": Row("hf", ("growing",), {"kernel": "EFFICIENT_ATTENTION"}),
    "hf_flash": Row("hf", ("growing",), {"kernel": "FLASH_ATTENTION"}),
    # transformers' static cache, compiled with CUDA graphs, as its documentation advises
    "hf_static": Row("hf_static", ("growing",), compiles=True, one_launch=True),
    # no cache: a fresh pass over the window for every token
    "fresh": Row("fresh", ("none",)),
    # the formulation of the StreamingLLM paper, re-implemented
    "paper": Row("paper", ("ring",)),
    "paper_flash": Row("paper", ("ring",), {"kernel": "FLASH_ATTENTION"}),
    # the ring in plain torch, one Python call a kernel
    "eager": Row("eager", (*REFRESHED, "pruned"), blocks=BLOCKS),
    "eager_math": Row("eager", RING, {"kernel": "MATH"}),
    "eager_efficient": Row("eager", RING, {"kernel": "EFFICIENT_ATTENTION"}),
    "eager_flash": Row("eager", RING, {"kernel": "FLASH_ATTENTION"}),
    "eager_cudnn": Row("eager", RING, {"kernel": "CUDNN_ATTENTION"}),
    "eager_flex": Row("eager_flex", RING, compiles=True),
    # the step in static shapes: as it is, in a CUDA graph, through torch.compile by mode
    "static": Row("static", RING),
    "graph": Row("static", REFRESHED, {"captured": True}, blocks=BLOCKS, one_launch=True),
    "compiled": _compiled(REFRESHED, "default"),
    "compiled_graph": _compiled(REFRESHED, "default", one_launch=True, captured=True),
    "compiled_tuned": _compiled(RING, "coordinate-descent"),
    "compiled_tuned_graph": _compiled(RING, "coordinate-descent", one_launch=True, captured=True),
    "compiled_autotune": _compiled(RING, "max-autotune-no-cudagraphs"),
    "compiled_reduce_overhead": _compiled(RING, "reduce-overhead", one_launch=True),
    # a cache that grows by concatenation: no step has the shapes of the one before
    "growing": Row("growing", ("growing",)),
    "compiled_growing": Row("growing", ("growing",), {"dynamic": False}, compiles=True),
    "compiled_dynamic": Row("growing", ("growing",), {"dynamic": True}, compiles=True),
    # hand-written Triton kernels in one CUDA graph; why not float16: fused.weights.check_supported
    "fused": Row(
        "fused.engine",
        REFRESHED,
        max_batch=16,
        dtypes=("float32", "bfloat16"),
        blocks="fused.blocks",
        block_tokens=16,  # fused.blocks.MOST_TOKENS
        one_launch=True,
    ),
}


def engine_row(name: str) -> dict:
    """Settings of an engine: name, and what jobs need of its row. UserError names those that exist."""
    check_name(name, ENGINES, "engine")
    row = ENGINES[name]
    needed = {key: getattr(row, key) for key in ("implementation", "options", "one_launch", "blocks")}
    return {"name": name, **needed}
