"""GPT-NeoX checkpoints (Black et al. 2022; Pythia): what a config may say, and where every tensor belongs.

A config key is one of three kinds. What is computed is read, with transformers' defaults. What would change
the mathematics and is not computed must have a value that changes nothing. Every other key is ignored.
"""

import math
import re

from sinkbench.errors import UserError, shown

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
LENGTH = {"max_position_embeddings": 2048}
SWITCHES = {"use_parallel_residual": True, "tie_word_embeddings": False}
THETA, FRACTION, TYPE = "rope_theta", "partial_rotary_factor", "rope_type"
ROTARY = {THETA: 10000.0, FRACTION: 0.25, TYPE: "default"}
# Names of these at the config's top level, and, in rope_parameters or rope_scaling, further ones.
TOP_NAMES = {"rotary_emb_base": THETA, THETA: THETA, "rotary_pct": FRACTION, FRACTION: FRACTION}
ROPE_NAMES = {name: name for name in ROTARY} | {"type": TYPE}
UNREAD = (THETA, FRACTION)  # which transformers does not read at the top level
# What is not computed: values besides null that leave the mathematics as it is.
NEUTRAL = {
    "attention_bias": (True,),
    "mlp_bias": (True,),
    "is_causal": (True,),
    "sliding_window": (),
    "use_sliding_window": (False,),
    "attention_chunk_size": (),
    "quantization_config": (),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({},),
    "alibi": (False,),
    "position_embedding_type": ("rotary",),
    "logit_scale": (1,),
    "logits_scaling": (1,),
    "attention_multiplier": (),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
    "use_qk_norm": (False,),
    "num_experts": (),
    "num_local_experts": (),
}
OTHER_NAMES = {"embed_out.weight": "lm_head.weight"}  # transformers renamed the head in 2025
# Of an attention layer in old checkpoints, with their dimensions: masks, and a table of frequencies.
BUFFERS = {"bias": (4,), "masked_bias": (0, 1), "rotary_emb.inv_freq": (1,)}
BUFFER = re.compile(r"gpt_neox\.layers\.(0|[1-9][0-9]*)\.attention\.(.+)")


def arguments(raw: dict, where: str) -> dict:
    """Arguments of transformers' GPTNeoXConfig for a config.json.

    Raises:
        UserError: a value is of another type, or asks for something that this project does not compute.
    """
    read = {key: _whole(raw, key, where) for key in (*SIZES, *LENGTH) if key in raw or key in SIZES}
    read = LENGTH | read
    heads, hidden = read["num_attention_heads"], read["hidden_size"]
    if hidden % heads:
        raise UserError(f"{where}: hidden_size: {hidden} is no multiple of num_attention_heads, {heads}")
    read |= {key: _switch(raw, key, default, where) for key, default in SWITCHES.items()}
    read["layer_norm_eps"] = _number(raw.get("layer_norm_eps", 1e-5), "layer_norm_eps", where)
    read["hidden_act"] = _word(raw, "hidden_act", "gelu", where)
    own = {"head_dim": (hidden // heads,), "num_key_value_heads": (heads,)}
    own["layer_types"] = (["full_attention"] * read["num_hidden_layers"],)
    for key, allowed in (NEUTRAL | own).items():
        _check_neutral(raw, key, allowed, where)
    return read | {"rope_parameters": _rotary(raw, where)}


def places(config: dict) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter by its name, for `arguments` of a config."""
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


def optional(config: dict) -> dict[str, str]:
    """Places that may stay empty, and the place whose tensor they share."""
    return {"lm_head.weight": "gpt_neox.embed_in.weight"} if config["tie_word_embeddings"] else {}


def is_buffer(name: str, shape: tuple[int, ...], config: dict) -> bool:
    """Whether a tensor is a mask or a table of frequencies, which old checkpoints hold and no model reads."""
    named = BUFFER.fullmatch(name)
    is_known = named and int(named[1]) < config["num_hidden_layers"]
    return bool(is_known) and len(shape) in BUFFERS.get(named[2], ())


def _rotary(raw: dict, where: str) -> dict:
    """Rotary parameters; UserError for a scaled rotation, and for two places that say different things."""
    stated = _stated(raw, where)
    said = ROTARY | {meant: value for key, meant, value in stated if key not in UNREAD}
    for key, meant, value in stated:
        if value != said[meant]:
            made = shown(said[meant])
            raise UserError(f"{where}: {key}: {shown(value)}, but the rotation is made with {made}")
    if said[TYPE] != "default":
        found = shown(said[TYPE])
        raise UserError(f"{where}: rotary embedding of type {found}; only 'default' (unscaled) works")
    if type(said[FRACTION]) not in (int, float) or not 0 <= said[FRACTION] <= 1:
        raise UserError(f"{where}: rotary fraction {shown(said[FRACTION])} is not between 0 and 1")
    return said | {THETA: _number(said[THETA], "rotary_emb_base", where)}


def _stated(raw: dict, where: str) -> list[tuple[str, str, object]]:
    """(key, meaning, value) of all that a config says of its rotation."""
    found = [(key, meant, raw[key]) for key, meant in TOP_NAMES.items() if raw.get(key) is not None]
    for key in ("rope_parameters", "rope_scaling"):
        inner = raw.get(key) or {}
        if not isinstance(inner, dict):
            raise UserError(f"{where}: {key}: {shown(inner)} is not a mapping")
        for name, value in inner.items():
            if name not in ROPE_NAMES:
                raise UserError(f"{where}: {key}.{name}: a scaled rotation; only 'default' (unscaled) works")
            found.append((f"{key}.{name}", ROPE_NAMES[name], value))
    return found


def _check_neutral(raw: dict, key: str, allowed: tuple, where: str) -> None:
    if (value := raw.get(key)) is not None and value not in allowed:
        instead = " or ".join(map(shown, (*allowed, None)))
        raise UserError(f"{where}: {key}: {shown(value)} is not computed here; only {instead} is")


def _whole(raw: dict, key: str, where: str) -> int:
    if key not in raw:
        raise UserError(f"{where}: missing {key}")
    if type(raw[key]) is not int or raw[key] < 1:
        raise UserError(f"{where}: {key}: {shown(raw[key])} is not a whole number from 1 on")
    return raw[key]


def _switch(raw: dict, key: str, default: bool, where: str) -> bool:
    if type(raw.get(key, default)) is not bool:
        raise UserError(f"{where}: {key}: {shown(raw[key])} is not true or false")
    return raw.get(key, default)


def _word(raw: dict, key: str, default: str, where: str) -> str:
    if type(raw.get(key, default)) is not str:
        raise UserError(f"{where}: {key}: {shown(raw[key])} is not text")
    return raw.get(key, default)


def _number(value, key: str, where: str) -> float:
    if type(value) not in (int, float) or not (math.isfinite(value) and value > 0):
        raise UserError(f"{where}: {key}: {shown(value)} is not a finite number above 0")
    return float(value)
