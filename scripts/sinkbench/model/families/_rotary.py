"""Rotary parameters of a config, and their frequencies in float64.

Unscaled (Su et al. 2021, RoFormer, section 3.2.2), linear (Chen et al. 2023, Position Interpolation) and
llama3 (as published with Llama 3.1). Other scalings are refused by name.
"""

from math import pi

from sinkbench.errors import UserError, shown
from sinkbench.model.families._config import number, whole

THETA, FRACTION, TYPE = "rope_theta", "partial_rotary_factor", "rope_type"
PLACES = ("rope_parameters", "rope_scaling")  # where a config says them: the new name and the old one
LENGTH = "original_max_position_embeddings"
# Numbers that a type of rotation has beside these.
TYPES = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", LENGTH),
}
NAMES = {THETA: THETA, FRACTION: FRACTION, TYPE: TYPE, "type": TYPE}


def read(
    raw: dict, where: str, head_dim: int, defaults: dict, top_names: dict, unread: tuple[str, ...] = ()
) -> dict:
    """Rotary parameters of a config.json, every one of them stated.

    Args:
        defaults: THETA, FRACTION and TYPE of a config that says nothing of them.
        top_names: names that these have at the config's top level.
        unread: of these, the ones that transformers does not read.

    Raises:
        UserError: a scaling that is not known, or two places that say different things.
    """
    stated = _stated(raw, where, top_names)
    said = defaults | {meant: value for key, meant, value in stated if key not in unread}
    for key, meant, value in stated:
        if value != said.get(meant):
            made = shown(said.get(meant))
            raise UserError(f"{where}: {key}: {shown(value)}, but the rotation is made with {made}")
    if not isinstance(said[TYPE], str) or said[TYPE] not in TYPES:
        found, known = shown(said[TYPE]), ", ".join(TYPES)
        raise UserError(f"{where}: rotary embedding of type {found} is not computed here; only {known} are")
    if type(said[FRACTION]) not in (int, float) or not 0 <= said[FRACTION] <= 1:
        raise UserError(f"{where}: rotary fraction {shown(said[FRACTION])} is not between 0 and 1")
    if (dim := rotary_dim(said, head_dim)) % 2:
        raise UserError(f"{where}: {dim} dimensions of a head of {head_dim} are rotated, which come in pairs")
    return said | {THETA: number(said[THETA], THETA, where)} | _scaling(said, where)


def frequencies(rotary: dict, head_dim: int) -> list[float]:
    """Rotation per position in rad, [rotary_dim / 2], of parameters as `read` gives them."""
    dim = rotary_dim(rotary, head_dim)
    plain = [rotary[THETA] ** -(index / dim) for index in range(0, dim, 2)]
    match rotary[TYPE]:
        case "linear":
            return [frequency / rotary["factor"] for frequency in plain]
        case "llama3":
            return [_llama3(frequency, rotary) for frequency in plain]
    return plain


def rotary_dim(rotary: dict, head_dim: int) -> int:
    """Leading dimensions of a head that are rotated."""
    return int(head_dim * rotary.get(FRACTION, 1.0))


def _stated(raw: dict, where: str, top_names: dict) -> list[tuple[str, str, object]]:
    """(key, meaning, value) of all that a config says of its rotation."""
    found = [(key, meant, raw[key]) for key, meant in top_names.items() if raw.get(key) is not None]
    for place in PLACES:
        inner = raw.get(place) or {}
        if not isinstance(inner, dict):
            raise UserError(f"{where}: {place}: {shown(inner)} is not a mapping")
        kind = inner.get(TYPE, inner.get("type", "default"))
        allowed = NAMES | {name: name for name in TYPES.get(kind if isinstance(kind, str) else "", inner)}
        for name, value in inner.items():
            if name not in allowed:
                raise UserError(f"{where}: {place}.{name}: a rotation of type {shown(kind)} has no such key")
            found.append((f"{place}.{name}", allowed[name], value))
    return found


def _scaling(said: dict, where: str) -> dict[str, float]:
    """The numbers of a scaled rotation."""
    for name in TYPES[said[TYPE]]:
        if name not in said:
            raise UserError(f"{where}: a rotation of type {said[TYPE]} needs {name}")
    found = {name: _scaling_number(said, name, where) for name in TYPES[said[TYPE]]}
    if said[TYPE] == "llama3" and found["high_freq_factor"] <= found["low_freq_factor"]:
        high, low = found["high_freq_factor"], found["low_freq_factor"]
        raise UserError(f"{where}: high_freq_factor: {high:g} is not above low_freq_factor, {low:g}")
    return found


def _scaling_number(said: dict, name: str, where: str) -> float:
    return whole(said, name, where) if name == LENGTH else number(said[name], name, where)


def _llama3(frequency: float, rotary: dict) -> float:
    """Wavelengths that the trained length holds seldom are scaled, those that it holds often are not."""
    turns = rotary[LENGTH] * frequency / (2 * pi)
    low, high = rotary["low_freq_factor"], rotary["high_freq_factor"]
    smooth = min(1.0, max(0.0, (turns - low) / (high - low)))
    return (1 - smooth) * frequency / rotary["factor"] + smooth * frequency
