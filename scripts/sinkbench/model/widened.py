"""A model's twin in a wider number format: the same weights, widened whenever they are read.

So a float32 twin of a half-precision model takes the room of its largest matrix, and not twice the model's.
Quantized weights are dequantised in the wide format, from the numbers that are stored.
"""

from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import Module
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sinkbench.errors import Unavailable


def widened(model: Module, dtype: torch.dtype = torch.float32) -> Module:
    """The twin of a model that computes in `dtype`; `model` stays as it is, and its matrices are shared.

    Raises:
        Unavailable: a weight is of a foreign kind that cannot be dequantised.
    """
    # deepcopy takes what is in its memo for the copy. Vectors are few and copied: model.dtype is read there.
    memo = {id(module): Widened(module, dtype) for module in model.modules() if _has_matrix(module)}
    return deepcopy(model, memo).to(dtype)


def is_wide(model: Module) -> bool:
    """Whether the model computes like its float32 twin already: in float32, and with no foreign weights."""
    return model.dtype.itemsize >= 4 and not any(map(is_traceable_wrapper_subclass, model.parameters()))


class Widened(Module):
    """A module without children that computes as it does, with its weights in `dtype`."""

    def __init__(self, module: Module, dtype: torch.dtype):
        super().__init__()
        self.shared = (module,)  # in a tuple, since its weights are not this module's to convert
        self.dtype = dtype
        for tensor in _tensors(module).values():
            _check(tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of inputs, both as of the module."""
        (module,) = self.shared
        tensors = {name: _wide(tensor, self.dtype) for name, tensor in _tensors(module).items()}
        return functional_call(module, tensors, (x,))


def _has_matrix(module: Module) -> bool:
    return any(tensor.dim() == 2 for tensor in _tensors(module).values())


def _tensors(module: Module) -> dict[str, Tensor]:
    """The module's own parameters and buffers by name."""
    return dict(chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False)))


def _check(tensor: Tensor) -> None:
    if is_traceable_wrapper_subclass(tensor) and type(tensor).dequantize is Tensor.dequantize:
        raise Unavailable(f"weights of kind {type(tensor).__name__} cannot be dequantised")


def _wide(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A number of any format in `dtype`; packed integers, which `forward` unpacks, as they are."""
    if is_traceable_wrapper_subclass(tensor):
        return tensor.dequantize(torch.float32).to(dtype)  # the widest that TorchAO has
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
