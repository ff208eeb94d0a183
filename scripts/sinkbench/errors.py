"""The one exception that means "the user can mend this": a single readable line, never a traceback."""

import json
from difflib import get_close_matches

NAMES_SHOWN = 12


class UserError(Exception):
    """Bad input. The message names the file, key or value and says what is allowed."""


class Unavailable(UserError):
    """A variant cannot run on this machine or with this model; its row is marked so and the study goes on."""


def shown(value) -> str:
    """A value as a config would write it: null, true, 'text', ["a", 1]; control characters are escaped.

    What is no plain data is shown as its text. Bytes that are not UTF-8, as in file names, are escaped too.
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str):
        text = "'" + text[1:-1].replace('\\"', '"') + "'"
    return text.encode("utf-8", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """What an error says, in one line and without its class."""
    return next(iter(str(error).strip().splitlines()), "no reason given")


def check_name(name: str, known, where: str) -> None:
    """Raise UserError unless `name` is one of the known ones; of many, the line shows the nearest."""
    if name in known:
        return
    names, rest = list(known), ""
    if len(names) > NAMES_SHOWN:
        names = get_close_matches(name, names, NAMES_SHOWN, cutoff=0)
        rest = f" (the nearest of {len(known)})"
    raise UserError(f"{where}: {shown(name)} is not one of {', '.join(names)}{rest}")
