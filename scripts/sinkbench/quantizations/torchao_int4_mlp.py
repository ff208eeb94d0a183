"""Weight-only int4 of TorchAO, one scale per 128 inputs, packed for tinygemm, in the MLP."""

from sinkbench.quantized_linear import MLP
from sinkbench.torchao_layers import quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable where TorchAO cannot do it."""
    return quantize_layers(
        model, "Int4WeightOnlyConfig", MLP, group_size=128, int4_packing_format="tile_packed_to_4d"
    )
