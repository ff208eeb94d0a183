"""TorchAO's quantizations of linear layers, less the options of torch.compile that come with them."""

from torch.nn import Linear, Module

from sinkbench.errors import Unavailable
from sinkbench.runtime.unavailable import NO_CUDA, PACKAGE, Lack, unavailable_on

# TorchAO says by assertions what it does not quantize.
LACKS = (PACKAGE, NO_CUDA, Lack(AssertionError), Lack(NotImplementedError))


def quantize(model: Module, names: tuple[str, ...], config: str, **options) -> Module:
    """`model`, with the weights of every layer whose last name is one of `names` replaced in place.

    The LM head is none of them: logits are formed in float32 here, from weights that are plain tensors.
    TorchAO may not set the process's options of torch.compile, as it does by itself: how a step is compiled
    is the engine's word, and tuning the prefill as well would take minutes for each of its shapes.

    Args:
        config, options: name and arguments of a configuration of torchao.quantization.

    Raises:
        Unavailable: torchao is missing, or has no kernel for this device, this format or these shapes.
    """
    for path, module in model.named_modules():
        if _named(names)(module, path):
            _check_groups(path, module.in_features, options.get("group_size", 1))
    with unavailable_on(PACKAGE, what="torchao"):
        from torchao import quantization
    with unavailable_on(*LACKS, what=f"torchao {config}"):
        chosen = getattr(quantization, config)(set_inductor_config=False, **options)
        quantization.quantize_(model, chosen, filter_fn=_named(names))
    return model


def _check_groups(path: str, inputs: int, group: int) -> None:
    """Raise Unavailable unless the inputs of a layer can be cut in groups."""
    if inputs % group:
        raise Unavailable(f"{path} has K = {inputs} inputs; quantization needs a multiple of {group}")


def _named(names: tuple[str, ...]):
    return lambda module, path: isinstance(module, Linear) and path.split(".")[-1] in names
