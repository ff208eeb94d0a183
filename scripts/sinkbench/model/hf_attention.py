"""transformers' own forward pass over a model, with an attention by name. No model code is patched."""

from torch import Tensor

STOCK = "sdpa"  # what transformers chooses by itself


def use_attention(model, name: str) -> None:
    """Make `model` attend with `name`; a change costs milliseconds."""
    if model.config._attn_implementation != name:
        model.set_attn_implementation(name)


def stock_hidden(model, ids: Tensor, cache=None, attention: str = STOCK) -> Tensor:
    """Last hidden states [batch, tokens, hidden] of ids [batch, tokens] as transformers computes them."""
    use_attention(model, attention)
    output = model.base_model(input_ids=ids, past_key_values=cache, use_cache=cache is not None)
    return output.last_hidden_state
