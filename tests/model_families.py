"""Shapes that between them have every switch of every model family, and random models of them."""

import torch
from helpers import LLAMA3
from sinkbench.model.loading import random_model

SIZES = {
    "vocab_size": 61,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 256,
    "initializer_range": 0.15,
}
GATED = {**SIZES, "num_key_value_heads": 2}
LINEAR = {"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0}
SCALED = {"rope_type": "llama3", "rope_theta": 1000.0, "original_max_position_embeddings": 32, **LLAMA3}
# Shapes that between them have every switch of every family.
SHAPES = {
    "gpt_neox": {**SIZES},
    "gpt_neox-linear": {**SIZES, "rope_parameters": {**LINEAR, "partial_rotary_factor": 0.5}},
    "llama": {**GATED},
    "llama-biased-tied": {**GATED, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    "llama-one_key_head": {**SIZES, "num_key_value_heads": 1, "rope_parameters": SCALED},
    "llama-linear": {**SIZES, "rope_parameters": LINEAR},
    "mistral": {**GATED, "sliding_window": None, "head_dim": 16},
    "qwen2": {**GATED, "tie_word_embeddings": True},
    "qwen3": {**GATED, "head_dim": 64},
}
TEXT = torch.randint(61, (120,), generator=torch.Generator().manual_seed(5))


def model_of(name: str, dtype=torch.float32):
    """A random model; biases and norms are drawn as well, since transformers begins them at 0 and 1."""
    model = random_model({"model_type": name.split("-")[0], **SHAPES[name]}, 3, dtype, "cpu").eval()
    draw = torch.Generator().manual_seed(9)
    for parameter in model.requires_grad_(False).parameters():
        if parameter.dim() == 1:
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw, dtype=dtype)
    return model
