"""Weight-only int8, one scale per output row, in the MLPs; attention and LM head keep their dtype."""

from sinkbench.quantized_linear import MLP, quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable if a layer cannot be cut in groups of inputs."""
    return quantize_layers(model, 8, MLP)
