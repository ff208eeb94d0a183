"""Llama and its descendants: RMSNorm, a gated MLP (SwiGLU), grouped queries, whole heads rotated.

What they differ in is a field: see the families beside this file.
"""

import re
from dataclasses import dataclass, field
from typing import ClassVar

from sinkbench.model.families import _config, _rotary
from sinkbench.model.families._family import Family, Parts, Role, Shape

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
KV_HEADS, HEAD_DIM, LENGTH = "num_key_value_heads", "head_dim", "max_position_embeddings"
ROTARY = {_rotary.THETA: 10000.0, _rotary.FRACTION: 1.0, _rotary.TYPE: "default"}
TOP_NAMES = {_rotary.THETA: _rotary.THETA, _rotary.FRACTION: _rotary.FRACTION}
ALL = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_LAYERS = ("gate_proj", "up_proj", "down_proj")
BUFFER = re.compile(r"model\.layers\.(0|[1-9][0-9]*)\.self_attn\.rotary_emb\.inv_freq")


@dataclass(frozen=True, eq=False)
class Gated(Family):
    """A family of this kind.

    Args:
        trained_tokens: default of max_position_embeddings.
        required: keys without which transformers takes a number that fits one model only.
        defaults: values of keys that a config may leave out, as transformers has them.
        ignored: keys that change nothing here, though they might elsewhere.
        biased: projections of attention that always have a bias; None: as the key attention_bias says.
        has_mlp_bias: whether the key mlp_bias is read.
        norms_heads: whether queries and keys pass an RMSNorm of their own, head by head.
    """

    model: str
    trained_tokens: int
    required: tuple[str, ...] = ()
    defaults: dict = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    biased: tuple[str, ...] | None = None
    has_mlp_bias: bool = False
    norms_heads: bool = False

    attention, out = "self_attn", "o_proj"
    linears: ClassVar = {"attention": ALL, "mlp": MLP_LAYERS, "head": ("lm_head",)}
    roles: ClassVar = {
        "embed_tokens": Role.EMBEDDING,
        "input_layernorm": Role.NORM,
        "q_proj": Role.QKV,
        "k_proj": Role.QKV,
        "v_proj": Role.QKV,
        "q_norm": Role.QKV_NORM,
        "k_norm": Role.QKV_NORM,
        "o_proj": Role.OUT,
        "post_attention_layernorm": Role.NORM,
        "mlp": Role.MLP,
        "norm": Role.LAST_NORM,
        "lm_head": Role.HEAD,
    }

    def arguments(self, raw: dict, where: str) -> dict:
        raw = self.defaults | raw
        _config.require(raw, self.required, where)
        read = {key: _config.whole(raw, key, where) for key in SIZES}
        read |= self._heads(raw | read, where)
        read[LENGTH] = _config.whole({LENGTH: self.trained_tokens} | raw, LENGTH, where)
        read["rms_norm_eps"] = _config.number(raw.get("rms_norm_eps", 1e-6), "rms_norm_eps", where)
        read["hidden_act"] = _config.word(raw, "hidden_act", "silu", where)
        read["tie_word_embeddings"] = _config.switch(raw, "tie_word_embeddings", False, where)
        read |= {key: _config.switch(raw, key, False, where) for key in self._switches()}
        _config.check_neutral(raw, self._neutral(read), where)
        rotary = _rotary.read(raw, where, read[HEAD_DIM], ROTARY, TOP_NAMES)
        _config.check_neutral(rotary, {_rotary.FRACTION: (1,)}, where)
        del rotary[_rotary.FRACTION]
        return read | {"rope_parameters": rotary}

    def places(self, config: dict) -> dict[str, tuple[int, ...]]:
        shape = self.shape(config)
        query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        hidden, inner = shape.hidden, shape.inner
        attention = {"q_proj": (query, hidden), "k_proj": (key, hidden), "v_proj": (key, hidden)}
        attention["o_proj"] = (hidden, query)
        mlp = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}
        layer = {f"self_attn.{name}.weight": size for name, size in attention.items()}
        layer |= {f"self_attn.{name}.bias": attention[name][:1] for name in self._biased(config)}
        layer |= {f"mlp.{name}.weight": size for name, size in mlp.items()}
        if config.get("mlp_bias"):
            layer |= {f"mlp.{name}.bias": size[:1] for name, size in mlp.items()}
        layer |= {f"{name}.weight": (hidden,) for name in ("input_layernorm", "post_attention_layernorm")}
        if self.norms_heads:
            layer |= {f"self_attn.{name}.weight": (shape.head_dim,) for name in ("q_norm", "k_norm")}
        table = (shape.vocabulary, hidden)
        found = {"model.embed_tokens.weight": table, "lm_head.weight": table, "model.norm.weight": (hidden,)}
        for index in range(shape.layers):
            found |= {f"model.layers.{index}.{name}": size for name, size in layer.items()}
        return found

    def optional(self, config: dict) -> dict[str, str]:
        return {"lm_head.weight": "model.embed_tokens.weight"} if config["tie_word_embeddings"] else {}

    def is_buffer(self, name: str, shape: tuple[int, ...], config: dict) -> bool:
        named = BUFFER.fullmatch(name)
        return bool(named) and int(named[1]) < config["num_hidden_layers"] and len(shape) == 1

    def shape(self, config: dict) -> Shape:
        return Shape(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            kv_heads=config[KV_HEADS],
            head_dim=config[HEAD_DIM],
            hidden=config["hidden_size"],
            inner=config["intermediate_size"],
            rotary_dim=config[HEAD_DIM],
            vocabulary=config["vocab_size"],
            trained_tokens=config[LENGTH],
            epsilon=config["rms_norm_eps"],
            activation=config["hidden_act"],
        )

    def parts(self, model) -> Parts:
        inner = model.model
        return Parts(inner.embed_tokens, inner.layers, inner.norm, model.lm_head)

    def normed(self, layer, hidden):
        return layer.input_layernorm(hidden)

    def project(self, layer, hidden) -> tuple:
        attention, read = layer.self_attn, layer.input_layernorm(hidden)
        projections = attention.q_proj, attention.k_proj, attention.v_proj
        query, key, value = (
            made(read).view(len(hidden), -1, attention.head_dim).transpose(0, 1) for made in projections
        )
        if self.norms_heads:
            query, key = attention.q_norm(query), attention.k_norm(key)
        return query, key, value

    def combine(self, layer, hidden, attended):
        middle = hidden + layer.self_attn.o_proj(attended.transpose(0, 1).flatten(1))
        return middle + layer.mlp(layer.post_attention_layernorm(middle))

    def unattended(self, attention, normed):
        # Sums, since a compiler leaves out a projection that nothing reads.
        both = (attention.k_proj(normed) + attention.v_proj(normed)).unflatten(
            -1, (-1, 1, attention.head_dim)
        )
        query = attention.q_proj(normed).unflatten(-1, (both.shape[-3], -1, attention.head_dim))
        return (query + both).flatten(-3)

    def _heads(self, raw: dict, where: str) -> dict[str, int]:
        """Key heads and head size: null or nothing says one key head a query head, and an equal cut."""
        kv_heads = raw if raw.get(KV_HEADS) is not None else {KV_HEADS: raw["num_attention_heads"]}
        read = {KV_HEADS: _config.whole(kv_heads, KV_HEADS, where)}
        _config.check_multiple(raw | read, "num_attention_heads", KV_HEADS, where)
        if raw.get(HEAD_DIM) is not None:
            return read | {HEAD_DIM: _config.whole(raw, HEAD_DIM, where)}
        _config.check_multiple(raw, "hidden_size", "num_attention_heads", where)
        return read | {HEAD_DIM: raw["hidden_size"] // raw["num_attention_heads"]}

    def _switches(self) -> list[str]:
        return ["attention_bias"] * (self.biased is None) + ["mlp_bias"] * self.has_mlp_bias

    def _biased(self, config: dict) -> tuple[str, ...]:
        """Projections of attention with a bias."""
        return (ALL if config["attention_bias"] else ()) if self.biased is None else self.biased

    def _neutral(self, read: dict) -> dict[str, tuple]:
        own = {"layer_types": (["full_attention"] * read["num_hidden_layers"],)}
        own |= {} if self.biased is None else {"attention_bias": (bool(self.biased),)}
        own |= {} if self.has_mlp_bias else {"mlp_bias": (False,)}
        return {key: allowed for key, allowed in (_config.NEUTRAL | own).items() if key not in self.ignored}
