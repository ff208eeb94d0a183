"""Figures that others published: which of them a study measures, and over which tokens.

A row of the config's `published` counts the tokens of a document from 0 and names the tokens that are
predicted. Tokens 1 to 1,024 are the first 1,024 predictions; token 0 has nothing before it. The NLL of token
i stands at position i - 1 of a quality job (measure.quality).
"""

from pathlib import Path

NAMED = {"hub": "repo", "folder": "path", "package": "file", "gguf": "path"}  # what names a model, by source


def model_name(model: dict) -> str:
    """The last part of the name of a model's repository, folder or gguf file; "" for random weights.

    Args:
        model: a config's `model`.
    """
    return Path(model[NAMED[model["source"]]]).name.removesuffix(".gguf") if model["source"] in NAMED else ""


def ranges(rows: list[dict], model: dict) -> dict[str, list[list[int]]]:
    """[first, last] of the tokens that the rows of a model are about, in order, by "method/corpus".

    Args:
        rows: a config's `published`.
        model: a config's `model`.
    """
    found: dict[str, list[list[int]]] = {}
    for row in rows:
        if row["model"] == model_name(model) and "corpus" in row:
            found.setdefault(f"{row['method']}/{row['corpus']}", []).append([row["first"], row["last"]])
    # Rows may differ in their measure alone, and the order of rows makes no result stale.
    return {job: sorted(map(list, set(map(tuple, found[job])))) for job in sorted(found)}
