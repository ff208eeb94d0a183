"""Reading a config.json: its values by type, and keys that must not ask for what is not computed.

A key is one of three kinds. What is computed is read, with transformers' defaults. What would change the
mathematics and is not computed must have a value that changes nothing. Every other key is ignored.
"""

import math

from sinkbench.errors import UserError, shown

# What no family here computes: values besides null that leave the mathematics as it is.
NEUTRAL = {
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


def require(raw: dict, keys: tuple[str, ...], where: str) -> None:
    """Raise UserError for a key that is not there."""
    for key in keys:
        if key not in raw:
            raise UserError(f"{where}: missing {key}")


def whole(raw: dict, key: str, where: str) -> int:
    """A size."""
    require(raw, (key,), where)
    if type(raw[key]) is not int or raw[key] < 1:
        raise UserError(f"{where}: {key}: {shown(raw[key])} is not a whole number from 1 on")
    return raw[key]


def switch(raw: dict, key: str, default: bool, where: str) -> bool:
    """A choice of two."""
    if type(raw.get(key, default)) is not bool:
        raise UserError(f"{where}: {key}: {shown(raw[key])} is not true or false")
    return raw.get(key, default)


def word(raw: dict, key: str, default: str, where: str) -> str:
    """A name."""
    if type(raw.get(key, default)) is not str:
        raise UserError(f"{where}: {key}: {shown(raw[key])} is not text")
    return raw.get(key, default)


def number(value, key: str, where: str) -> float:
    """A finite number above 0."""
    if type(value) not in (int, float) or not (math.isfinite(value) and value > 0):
        raise UserError(f"{where}: {key}: {shown(value)} is not a finite number above 0")
    return float(value)


def check_neutral(raw: dict, neutral: dict[str, tuple], where: str) -> None:
    """Raise UserError for a value, besides null, that is none of those that change nothing."""
    for key, allowed in neutral.items():
        if (value := raw.get(key)) is not None and value not in allowed:
            instead = " or ".join(map(shown, (*allowed, None)))
            raise UserError(f"{where}: {key}: {shown(value)} is not computed here; only {instead} is")


def check_multiple(raw: dict, key: str, of: str, where: str) -> None:
    """Raise UserError unless one size is a multiple of another."""
    if raw[key] % raw[of]:
        raise UserError(f"{where}: {key}: {raw[key]} is no multiple of {of}, {raw[of]}")
