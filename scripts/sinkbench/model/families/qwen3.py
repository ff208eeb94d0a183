"""Qwen3 (Yang et al. 2025): Llama whose queries and keys pass an RMSNorm of their own, head by head."""

from sinkbench.model.families._gated import Gated

FAMILY = Gated(
    "Qwen3ForCausalLM",
    trained_tokens=32_768,
    required=("num_key_value_heads",),
    defaults={"head_dim": 128},
    ignored=("sliding_window",),  # unless use_sliding_window is true
    norms_heads=True,
)
