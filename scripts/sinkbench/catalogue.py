"""What the workflow needs to know of tables, figures and claims before any of them is made.

Titles, captions and words are read from the source without importing it, since figures import matplotlib
and the workflow is planned often.
"""

import ast
from pathlib import Path

from sinkbench.errors import UserError

HERE = Path(__file__).parent
KINDS = ("tables", "figures", "claims")


def available(kind: str) -> list[str]:
    """The words of a kind: one file each."""
    return sorted(path.stem for path in (HERE / kind).glob("*.py") if path.stem != "__init__")


def check(config: dict) -> None:
    """Raise UserError for a word without a file."""
    for kind in KINDS:
        for word in config[kind]:
            if word not in available(kind):
                raise UserError(f"{kind}: {word!r} is not one of {', '.join(available(kind))}")


def describe(kind: str, word: str, config: dict) -> dict:
    """What a table's or figure's job is told: word, title, caption, and the facts that it asks for.

    Only those, so that an edit of another key of the config leaves it as it is.
    """
    source = _literals(HERE / kind / f"{word}.py")
    known = facts(config)
    words = {name: known[name] for name in source["WORDS"]}
    return {"word": word, "title": source["TITLE"], "caption": source["CAPTION"].format(**words), "words": words}


def files(kind: str, word: str, config: dict) -> list[str]:
    """Files (under scripts/) that the job loads by name."""
    wanted = [f"sinkbench/{kind}/{word}.py"]
    if "claims" in _literals(HERE / kind / f"{word}.py")["WORDS"]:
        wanted += claim_files(config)
    return wanted


def claim_files(config: dict) -> list[str]:
    """Files (under scripts/) of the claims that are judged."""
    return [f"sinkbench/claims/{word}.py" for word in config["claims"]]


def facts(config: dict) -> dict:
    """Facts of the config by the names that captions use."""
    statistics, speed = config["statistics"], config["speed"]
    return {
        "claims": config["claims"],
        "confidence": f"{100 * statistics['confidence']:g}",
        "block_tokens": statistics["block_tokens"],
        "position_bin": statistics["position_bin"],
        "repetitions": speed["repetitions"],
        "steps": speed["steps"],
        "device": config["device"],
    }


def _literals(path: Path) -> dict:
    """Constants that a module assigns at its top level."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("TITLE", "CAPTION", "WORDS"):
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found
