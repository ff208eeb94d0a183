"""Llama (Touvron et al. 2023; Llama 3) and what has its config, such as SmolLM2."""

from sinkbench.model.families._gated import Gated

FAMILY = Gated("LlamaForCausalLM", trained_tokens=2048, has_mlp_bias=True)
