"""A tokenizer of 256 bytes, for the 256 tokens of tests/fixtures/neox-tiny, and texts for it."""

from pathlib import Path

from helpers import CODE
from tokenizers import Tokenizer, decoders, models, pre_tokenizers


def bytes_tokenizer(added: tuple[str, ...] = ()) -> Tokenizer:
    """One token a byte; `added` ones come after them, outside the tiny model's vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: index for index, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(added))
    return tokenizer


def token_settings(folder: Path, texts: dict[str, str | bytes], **corpus) -> dict:
    """Settings of a tokenization job over texts that are written to `folder`, with a tokenizer."""
    (folder / "texts").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / "texts" / f"{name}.txt").write_bytes(content)
    bytes_tokenizer().save(str(folder / "tokenizer.json"))
    entry = {"name": "texts", "kind": "files", "glob": f"{folder}/texts/*.txt", **corpus}
    return {"corpus": entry, "tokenizer": {"source": "folder", "path": str(folder)}, "code": CODE}
