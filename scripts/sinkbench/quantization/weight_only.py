"""Linear layers with packed int8 or int4 weights: engines compute with exactly their dequantised values."""

import torch
from torch import Tensor
from torch.nn import Linear, Module

from sinkbench.errors import Unavailable
from sinkbench.quantization.packing import GROUP, pack, unpack
from sinkbench.quantization.rounding import dequantize, quantize_rows

CHUNK = 2**24  # weights rounded at a time: temporaries of some 64 MB each


class QuantizedLinear(Module):
    """A linear layer that stores `linear`'s weight [rows, K] in `bits` (8 or 4) bits; K is a multiple of 128.

    Buffers: packed, int32 [rows, K * bits / 32] (see packing), and scales (see rounding).
    """

    def __init__(self, linear: Linear, bits: int):
        super().__init__()
        self.bits, self.bias = bits, linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed, scales = _quantized(linear.weight.detach(), bits)
        self.register_buffer("packed", packed)
        self.register_buffer("scales", scales)

    @property
    def weight(self) -> Tensor:
        """The dequantised weight [rows, K] in the dtype of the original one, made anew at each reading."""
        return dequantize(unpack(self.packed, self.bits), self.scales)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [..., rows] of inputs [..., K]."""
        return torch.nn.functional.linear(x, self.weight, self.bias)


def quantize(model: Module, names: tuple[str, ...], bits: int) -> Module:
    """`model`, with every layer whose last name is one of `names` replaced in place, one at a time.

    Raises Unavailable, with the model as it was, if a layer's inputs cannot be cut in groups.
    """
    paths = [path for path, _ in model.named_modules() if path.split(".")[-1] in names]
    for path in paths:
        _check(path, model.get_submodule(path).in_features)
    for path in paths:
        parent, name = model.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
        setattr(parent, name, QuantizedLinear(getattr(parent, name), bits))
    return model


def _check(path: str, inputs: int) -> None:
    if inputs % GROUP:
        raise Unavailable(f"{path} has K = {inputs} inputs; quantization needs a multiple of {GROUP}")


def _quantized(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Words and scales of a weight [rows, K], some rows at a time."""
    rows = max(1, CHUNK // weight.shape[1])
    words, scales = zip(*(_quantized_rows(part, bits) for part in weight.split(rows)), strict=True)
    return torch.cat(words), torch.cat(scales)


def _quantized_rows(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    q, scales = quantize_rows(weight, bits)
    return pack(q, bits), scales
