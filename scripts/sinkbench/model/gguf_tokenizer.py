"""The tokenizer of a gguf file as tokenizer.json.

transformers takes vocabulary and merges from the file. How a text is split before its merges is a name in the
file (`tokenizer.ggml.pre`), and transformers falls back to GPT-2's way for each name that it does not know.
Other splits give other ids, on which the model was not trained. So a name that is known nowhere is refused.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from sinkbench.artifacts.files import write_json
from sinkbench.artifacts.tokenizer_file import FILE
from sinkbench.errors import UserError, check_name

BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"  # tokenizer.ggml.model
SPACE_FIRST = "tokenizer.ggml.add_space_prefix"  # which transformers takes as given with sentencepiece
GPT2 = ("gpt-2",)  # names that transformers' fallback is right for
DIGITS = ("smollm",)  # GPT-2's way, after every digit is taken apart
WHOLE_TOKENS = ("llama3", "llama-v3", "llama-bpe")  # a token of the vocabulary is taken without its merges


def check_tokenizer(said: dict, where: str) -> None:
    """Raise UserError unless a file's tokenizer is of a kind whose rules are known.

    Args:
        said: single values of the file's metadata, by key.
    """
    if stated(said, "tokenizer.ggml.model", (BYTE_LEVEL, SENTENCEPIECE), where) == BYTE_LEVEL:
        stated(said, "tokenizer.ggml.pre", _known(), where)
    elif not said.get(SPACE_FIRST, True):
        raise UserError(f"{where}: {SPACE_FIRST}: false is not read here; only true is")


def stated(said: dict, key: str, known: Iterable[str], where: str) -> str:
    """What a file's metadata state under a key; UserError unless it is one of the known words."""
    if key not in said:
        raise UserError(f"{where}: states no {key}, which must be one of {', '.join(known)}")
    check_name(said[key], known, f"{where}: {key}")
    return said[key]


def write_tokenizer(file: Path, folder: Path, pre: str | None, tokens: int) -> None:
    """Write tokenizer.json.

    Args:
        pre: the file's tokenizer.ggml.pre.
        tokens: of the file's vocabulary.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    tokenizer = read.backend_tokenizer
    if pre in DIGITS:
        splits = [pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    if pre in WHOLE_TOKENS:
        tokenizer.model.ignore_merges = True
    write_json(folder / FILE, _without_foreign(json.loads(tokenizer.to_str()), tokens))


def _without_foreign(rules: dict, tokens: int) -> dict:
    """Rules without the special tokens that transformers adds to those of the file, such as GPT-2's own."""
    own = [token for token in rules["added_tokens"] if token["id"] < tokens]
    return rules | {"added_tokens": own}


def _known() -> list[str]:
    """Names that this transformers or we split as is right; older ones read none but GPT-2's way."""
    from transformers.integrations.gguf import gguf_tokenizer_mapping

    splits = getattr(gguf_tokenizer_mapping, "GGUF_PRE_TOKENIZER_SPLITS", ())
    return sorted({*GPT2, *DIGITS, *splits})
