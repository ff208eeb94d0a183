"""The number formats of weights that a config can name: one row each, plain data.

Planning alone reads this table. A row travels in the settings of the jobs that need it. So a new row, or an
edit of another one, makes no result stale.
"""

from sinkbench.errors import check_name

PLAIN = "none"  # the weights as they are, in the dtype of the config
BLOCKS = ["attention", "mlp"]
ALL = [*BLOCKS, "head"]
TINYGEMM = {"group_size": 128, "int4_packing_format": "tile_packed_to_4d"}


def _weight_only(bits: int, parts: list[str]) -> dict:
    return {"implementation": "weight_only", "parts": parts, "options": {"bits": bits}}


def _torchao(config: str, parts: list[str], **options) -> dict:
    return {"implementation": "torchao", "parts": parts, "options": {"config": config, **options}}


# implementation: module of quantization that quantizes; parts: of the model whose linear layers it quantizes.
# TorchAO never has the LM head: logits are formed in float32, from weights that are plain tensors.
FORMATS = {
    PLAIN: {"implementation": None, "parts": [], "options": {}},
    # ours: one scale per output row (int8) or per 128 inputs (int4)
    "int8": _weight_only(8, ALL),
    "int8_mlp": _weight_only(8, ["mlp"]),
    "int4": _weight_only(4, ALL),
    "int4_mlp": _weight_only(4, ["mlp"]),
    "torchao_int8": _torchao("Int8WeightOnlyConfig", BLOCKS),
    "torchao_int8_mlp": _torchao("Int8WeightOnlyConfig", ["mlp"]),
    "torchao_int8_dynamic": _torchao("Int8DynamicActivationInt8WeightConfig", BLOCKS),
    "torchao_int8_dynamic_mlp": _torchao("Int8DynamicActivationInt8WeightConfig", ["mlp"]),
    "torchao_int4": _torchao("Int4WeightOnlyConfig", BLOCKS, **TINYGEMM),
    "torchao_int4_mlp": _torchao("Int4WeightOnlyConfig", ["mlp"], **TINYGEMM),
}


def format_row(name: str) -> dict:
    """What a job's settings say of a number format. UserError names those that exist."""
    check_name(name, FORMATS, "quantization")
    return {"name": name, **FORMATS[name]}
