"""Weight-only int4, one scale per 128 inputs, in the MLPs; attention and LM head keep their dtype."""

from sinkbench.quantized_linear import MLP, quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable if a layer cannot be cut in groups of inputs."""
    return quantize_layers(model, 4, MLP)
