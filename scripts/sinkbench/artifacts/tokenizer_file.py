"""A tokenizer.json, read without its library: the rules by which a text becomes ids, and the largest id.

Such a file also holds truncation, padding, templates and dropout. They are for training batches and chats,
make ids depend on more than the text, and are left out.
"""

import json
from pathlib import Path

from sinkbench.artifacts.hub import local_folder
from sinkbench.errors import UserError

LEFT_OUT = ("truncation", "padding", "post_processor")
RANDOM = {"dropout", "alpha", "nbest_size"}  # of its model: sampling among segmentations
OF_IDS = ("normalizer", "pre_tokenizer", "added_tokens", "model")  # what decides on ids
OFF_BY_DEFAULT = {"dropout", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges"}
OFF_BY_DEFAULT |= {"continuing_subword_prefix", "end_of_word_suffix"}
FILE = "tokenizer.json"


def tokenizer_path(settings: dict) -> Path:
    """The file of a tokenizer's source."""
    return local_folder(settings) / FILE


def read_rules(path: Path) -> dict:
    """The content of a tokenizer file that says how text becomes ids; UserError for another file."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: no tokenizer there: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not a readable tokenizer ({error})") from None
    try:
        largest_id(content)
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{path}: not a readable tokenizer (it holds no model with a table of ids)") from None
    model = content["model"] | dict.fromkeys(RANDOM & content["model"].keys())
    return content | dict.fromkeys(LEFT_OUT) | {"model": model}


def largest_id(rules: dict) -> int:
    """The largest id of a tokenizer's rules."""
    vocabulary = rules["model"].get("vocab") or {}
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
    return max(ids + [token["id"] for token in rules.get("added_tokens") or []], default=-1)


def give_the_same_ids(first: dict, second: dict) -> bool:
    """Whether two tokenizers' rules are the same, however their files are laid out."""
    return all(_plain(first.get(part)) == _plain(second.get(part)) for part in OF_IDS)


def _plain(part):
    """A part of the rules, less what old files leave out where it is off.

    Merges are pairs in new files and texts of two words in old ones.
    """
    if not isinstance(part, dict):
        return part
    kept = {key: value for key, value in part.items() if key not in OFF_BY_DEFAULT or value}
    if isinstance(merges := kept.get("merges"), list):
        kept["merges"] = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    return kept
