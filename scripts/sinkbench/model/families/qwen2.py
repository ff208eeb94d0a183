"""Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases of query, key and value."""

from sinkbench.model.families._gated import Gated

FAMILY = Gated(
    "Qwen2ForCausalLM",
    trained_tokens=32_768,
    required=("num_key_value_heads",),
    ignored=("sliding_window",),  # unless use_sliding_window is true
    biased=("q_proj", "k_proj", "v_proj"),
)
