"""Int8 weights and activations (quantized at every step) of TorchAO, in all linear layers of the blocks."""

from sinkbench.quantized_linear import ATTENTION, MLP
from sinkbench.torchao_layers import quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable where TorchAO cannot do it."""
    return quantize_layers(model, "Int8DynamicActivationInt8WeightConfig", ATTENTION + MLP)
