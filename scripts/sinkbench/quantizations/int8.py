"""Weight-only int8, one scale per output row, in every linear layer of the blocks and in the LM head."""

from sinkbench.quantized_linear import ATTENTION, HEAD, MLP, quantize_layers


def quantize(model):
    """The same model, changed in place. Raises Unavailable if a layer cannot be cut in groups of inputs."""
    return quantize_layers(model, 8, ATTENTION + MLP + HEAD)
