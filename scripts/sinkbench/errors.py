"""The one exception that means "the user can mend this": a single readable line, never a traceback."""

from difflib import get_close_matches

NAMES_SHOWN = 12


class UserError(Exception):
    """Bad input. The message names the file, key or value and says what is allowed."""


class Unavailable(UserError):
    """A variant cannot run on this machine or with this model; its row is marked so and the study goes on."""


def check_name(name: str, known, where: str) -> None:
    """Raise UserError unless `name` is one of the known ones; of many, the line shows the nearest."""
    if name in known:
        return
    shown, rest = list(known), ""
    if len(shown) > NAMES_SHOWN:
        shown = get_close_matches(name, shown, NAMES_SHOWN, cutoff=0)
        rest = f" (the nearest of {len(known)})"
    raise UserError(f"{where}: {name!r} is not one of {', '.join(shown)}{rest}")
