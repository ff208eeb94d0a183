"""What the fused kernels read of a model: its own weights, uncopied, and a few vectors made from them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sinkbench.errors import Unavailable, shown
from sinkbench.model.families import ParallelLayer, family_of, parts_of, shape_of
from sinkbench.quantization.weight_only import GROUP, QuantizedLinear

ROWS_AT_ONCE = 4096  # of a weight in float64, to bound the memory of preparation


@dataclass(frozen=True)
class FusedLinear:
    """A linear layer y = W LayerNorm(x) + b, or y = W x + b if `sums` is None.

    Args:
        weight: [rows, inputs] as the model holds it, or packed (see packing).
        scales: of packed weights; the weight itself (never read) otherwise.
        bits: per weight: 4 and 8 packed, 16 and 32 as they are.
        shift: W beta + b, float32 [rows].
        sums: W gamma summed over inputs, float32 [rows], or None.
    """

    weight: Tensor
    scales: Tensor
    bits: int
    rows: int
    inputs: int
    shift: Tensor
    sums: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes of the weight, with its scales if it is packed."""
        return self.weight.nbytes + (self.scales.nbytes if self.bits < 16 else 0)


def fused_linear(module, norm=None) -> FusedLinear:
    """The kernels' view of a torch.nn.Linear or QuantizedLinear behind an optional LayerNorm."""
    stored = _stored(module)
    quantized = hasattr(module, "packed")
    bits = module.bits if quantized else 8 * stored.dtype.itemsize
    scales = module.scales if quantized else stored
    sums, shift = _constants(module, norm)
    shape = module.out_features, module.in_features
    return FusedLinear(stored.contiguous(), scales, bits, *shape, shift, sums)


def _stored(module) -> Tensor:
    """The weight as the module holds it: packed, or as it is."""
    return module.packed if hasattr(module, "packed") else module.weight.detach()


def _constants(module, norm) -> tuple[Tensor | None, Tensor]:
    """`sums` and `shift` of FusedLinear, summed in float64."""
    bias = 0.0 if module.bias is None else module.bias.detach().double()
    if norm is None:
        shift = torch.zeros(module.out_features, dtype=torch.float64, device=_stored(module).device)
        return None, (shift + bias).float()
    weight = module.weight.detach()  # of a QuantizedLinear made anew at each reading
    vectors = torch.stack((norm.weight, norm.bias), 1).detach().double()
    both = torch.cat([part.double() @ vectors for part in weight.split(ROWS_AT_ONCE)])
    return both[:, 0].float(), (both[:, 1] + bias).float()


class FusedWeights:
    """What steps read of a model: its own weights, and vectors made from them, once for all steps."""

    def __init__(self, model):
        family, parts = family_of(model), parts_of(model)
        self.embedding = parts.embedding.weight.detach()
        layers = [family.parallel(layer) for layer in parts.layers]
        self.layers, self.gammas = list(map(_layer_linears, layers)), list(map(_gammas, layers))
        self.gammas.append(2 * (parts.norm.weight.detach(),))
        self.head = fused_linear(parts.head, parts.norm)


def _layer_linears(layer: ParallelLayer) -> tuple[FusedLinear, FusedLinear, FusedLinear, FusedLinear, Tensor]:
    """qkv, up, dense, down, and the sum of the last two's biases."""
    qkv = fused_linear(layer.qkv, layer.attention_norm)
    up = fused_linear(layer.up, layer.mlp_norm)
    dense, down = fused_linear(layer.dense), fused_linear(layer.down)
    return qkv, up, dense, down, dense.shift + down.shift


def _gammas(layer: ParallelLayer) -> tuple[Tensor, Tensor]:
    return layer.attention_norm.weight.detach(), layer.mlp_norm.weight.detach()


def check_supported(model) -> None:
    """Raise Unavailable, by name, for what the kernels do not compute.

    float16 ends at 65,504. The kernels keep the residual times a LayerNorm's gamma in the model's dtype and
    normalise later (norm_matvec); transformers normalises first, so that it does not overflow there.
    """
    if family_of(model).parallel(parts_of(model).layers[0]) is None:
        raise Unavailable(
            "fused: the model is no GPT-NeoX with a parallel residual; the other engines decode it"
        )
    if (activation := shape_of(model).activation) != "gelu":
        raise Unavailable(f"fused: activation {shown(activation)}; only 'gelu' (exact) is built")
    if model.dtype not in (torch.float32, torch.bfloat16):
        raise Unavailable(f"fused: weights of {model.dtype}; it computes in float32 and bfloat16")
    for path, module in model.named_modules():
        if isinstance(module, QuantizedLinear) and module.in_features % GROUP:
            raise Unavailable(
                f"fused: {path} has K = {module.in_features} inputs; packed it reads groups of {GROUP}"
            )
    foreign = {
        type(weight).__name__ for weight in model.parameters() if is_traceable_wrapper_subclass(weight)
    }
    if foreign:
        raise Unavailable(
            f"fused: weights are {min(foreign)}; it reads plain ones and the project's own int8, int4"
        )
