"""GPT-NeoX (Black et al. 2022; Pythia): LayerNorm, one projection for query, key and value, partial rotation.

Attention and MLP of a layer read the same input where the residual is parallel.
"""

import re
from typing import ClassVar

from sinkbench.model.families import _config, _rotary
from sinkbench.model.families._family import Family, ParallelLayer, Parts, Role, Shape

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
LENGTH = {"max_position_embeddings": 2048}
SWITCHES = {"use_parallel_residual": True, "tie_word_embeddings": False}
ROTARY = {_rotary.THETA: 10000.0, _rotary.FRACTION: 0.25, _rotary.TYPE: "default"}
TOP_NAMES = {
    "rotary_emb_base": _rotary.THETA,
    _rotary.THETA: _rotary.THETA,
    "rotary_pct": _rotary.FRACTION,
    _rotary.FRACTION: _rotary.FRACTION,
}
UNREAD = (_rotary.THETA, _rotary.FRACTION)  # which transformers does not read at the top level
NEUTRAL = _config.NEUTRAL | {"attention_bias": (True,), "mlp_bias": (True,)}
# Of an attention layer in old checkpoints, with their dimensions: masks, and a table of frequencies.
BUFFERS = {"bias": (4,), "masked_bias": (0, 1), "rotary_emb.inv_freq": (1,)}
BUFFER = re.compile(r"gpt_neox\.layers\.(0|[1-9][0-9]*)\.attention\.(.+)")


class GPTNeoX(Family):
    """See the module."""

    model = "GPTNeoXForCausalLM"
    attention, out = "attention", "dense"
    linears: ClassVar = {
        "attention": ("query_key_value", "dense"),
        "mlp": ("dense_h_to_4h", "dense_4h_to_h"),
        "head": ("lm_head",),
    }
    roles: ClassVar = {
        "embed_in": Role.EMBEDDING,
        "input_layernorm": Role.NORM,
        "query_key_value": Role.QKV,
        "dense": Role.OUT,
        "post_attention_layernorm": Role.NORM,
        "mlp": Role.MLP,
        "final_layer_norm": Role.LAST_NORM,
        "lm_head": Role.HEAD,
    }
    other_names: ClassVar = {"embed_out.weight": "lm_head.weight"}  # transformers renamed the head in 2025

    def arguments(self, raw: dict, where: str) -> dict:
        read = {key: _config.whole(LENGTH | raw, key, where) for key in (*SIZES, *LENGTH)}
        _config.check_multiple(read, "hidden_size", "num_attention_heads", where)
        read |= {key: _config.switch(raw, key, default, where) for key, default in SWITCHES.items()}
        read["layer_norm_eps"] = _config.number(raw.get("layer_norm_eps", 1e-5), "layer_norm_eps", where)
        read["hidden_act"] = _config.word(raw, "hidden_act", "gelu", where)
        heads = read["num_attention_heads"]
        head_dim = read["hidden_size"] // heads
        own = {"head_dim": (head_dim,), "num_key_value_heads": (heads,)}
        own["layer_types"] = (["full_attention"] * read["num_hidden_layers"],)
        _config.check_neutral(raw, NEUTRAL | own, where)
        rotary = _rotary.read(raw, where, head_dim, ROTARY, TOP_NAMES, UNREAD)
        return read | {"rope_parameters": rotary}

    def places(self, config: dict) -> dict[str, tuple[int, ...]]:
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        linear = {"attention.query_key_value": (3 * hidden, hidden), "attention.dense": (hidden, hidden)}
        linear |= {"mlp.dense_h_to_4h": (inner, hidden), "mlp.dense_4h_to_h": (hidden, inner)}
        layer = {f"{name}.weight": shape for name, shape in linear.items()}
        layer |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
        norms = ("input_layernorm", "post_attention_layernorm")
        layer |= {f"{norm}.{part}": (hidden,) for norm in norms for part in ("weight", "bias")}
        table = (config["vocab_size"], hidden)
        found = {"gpt_neox.embed_in.weight": table, "lm_head.weight": table}
        found |= {f"gpt_neox.final_layer_norm.{part}": (hidden,) for part in ("weight", "bias")}
        for index in range(config["num_hidden_layers"]):
            found |= {f"gpt_neox.layers.{index}.{name}": shape for name, shape in layer.items()}
        return found

    def optional(self, config: dict) -> dict[str, str]:
        return {"lm_head.weight": "gpt_neox.embed_in.weight"} if config["tie_word_embeddings"] else {}

    def is_buffer(self, name: str, shape: tuple[int, ...], config: dict) -> bool:
        named = BUFFER.fullmatch(name)
        is_known = named and int(named[1]) < config["num_hidden_layers"]
        return bool(is_known) and len(shape) in BUFFERS.get(named[2], ())

    def shape(self, config: dict) -> Shape:
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        return Shape(
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=heads,
            head_dim=hidden // heads,
            hidden=hidden,
            inner=config["intermediate_size"],
            rotary_dim=_rotary.rotary_dim(config["rope_parameters"], hidden // heads),
            vocabulary=config["vocab_size"],
            trained_tokens=config["max_position_embeddings"],
            epsilon=config["layer_norm_eps"],
            activation=config["hidden_act"],
        )

    def parts(self, model) -> Parts:
        inner = model.gpt_neox
        return Parts(inner.embed_in, inner.layers, inner.final_layer_norm, model.lm_head)

    def parallel(self, layer) -> ParallelLayer | None:
        if not layer.use_parallel_residual:
            return None
        attention, mlp = layer.attention, layer.mlp
        return ParallelLayer(
            attention_norm=layer.input_layernorm,
            qkv=attention.query_key_value,
            dense=attention.dense,
            mlp_norm=layer.post_attention_layernorm,
            up=mlp.dense_h_to_4h,
            down=mlp.dense_4h_to_h,
        )

    def normed(self, layer, hidden):
        return layer.input_layernorm(hidden)

    def project(self, layer, hidden) -> tuple:
        fused = layer.attention.query_key_value(layer.input_layernorm(hidden))
        heads = fused.view(len(hidden), -1, 3 * layer.attention.head_size)
        return heads.transpose(0, 1).chunk(3, dim=-1)

    def combine(self, layer, hidden, attended):
        attention = layer.attention.dense(attended.transpose(0, 1).flatten(1))
        if layer.use_parallel_residual:
            return hidden + attention + layer.mlp(layer.post_attention_layernorm(hidden))
        middle = hidden + attention
        return middle + layer.mlp(layer.post_attention_layernorm(middle))

    def unattended(self, attention, normed):
        # Of one token this part is a view, with no launch.
        return attention.query_key_value(normed)[..., : normed.shape[-1]].contiguous()


FAMILY = GPTNeoX()
