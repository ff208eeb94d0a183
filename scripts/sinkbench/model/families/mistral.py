"""Mistral (Jiang et al. 2023) without its sliding window: versions 0.2 and later of the 7B, and others."""

from sinkbench.model.families._gated import Gated

FAMILY = Gated(
    "MistralForCausalLM",
    trained_tokens=131_072,
    required=("num_key_value_heads",),
    defaults={"sliding_window": 4096},
    biased=(),
)
