"""Weight-only int4, one scale per 128 inputs, in every linear layer of the blocks and in the LM head."""

from sinkbench.quantized_linear import ATTENTION, HEAD, MLP, quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable if a layer cannot be cut in groups of inputs."""
    return quantize_layers(model, 4, ATTENTION + MLP + HEAD)
