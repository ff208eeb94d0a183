"""A name that must be one of the known ones."""

from difflib import get_close_matches

from sinkbench.errors import UserError

NAMES_SHOWN = 12


def check_name(name: str, known, where: str) -> None:
    """Raise UserError unless `name` is one of the known ones; of many, the line shows the nearest."""
    if name in known:
        return
    shown, rest = list(known), ""
    if len(shown) > NAMES_SHOWN:
        shown = get_close_matches(name, shown, NAMES_SHOWN, cutoff=0)
        rest = f" (the nearest of {len(known)})"
    raise UserError(f"{where}: {name!r} is not one of {', '.join(shown)}{rest}")
