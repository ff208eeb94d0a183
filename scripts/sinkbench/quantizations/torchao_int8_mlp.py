"""Weight-only int8 of TorchAO, in the MLP."""

from sinkbench.quantized_linear import MLP
from sinkbench.torchao_layers import quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable where TorchAO cannot do it."""
    return quantize_layers(model, "Int8WeightOnlyConfig", MLP)
