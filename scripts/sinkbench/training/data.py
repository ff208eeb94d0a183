"""Text for the demonstration model: what it learns from, what it must never see, and samples of both.

Every sample starts with the end-of-text token: without that no attention sink forms.
"""

import random
import sysconfig
from dataclasses import dataclass
from glob import glob
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from sinkbench.errors import UserError, shown
from sinkbench.text.corpora import documents, read_text
from sinkbench.training.overlap import overlap_share, overlap_shares

END_OF_TEXT = "<|endoftext|>"
END_ID = 0  # the first special token that the tokenizer's trainer is given
MAX_FILE_BYTES = 500_000  # longer Python files are mostly generated tables
FILES_PER_CALL = 512  # bounds the tokenizer's working memory


@dataclass(frozen=True)
class TrainingData:
    """Training texts and unseen texts of a model, by kind ("prose", "code").

    Args:
        streams: token ids, int32 [tokens], of all training files in a row, end-of-text after each.
        unseen: windows of text that the streams do not hold, int64 [windows, context + 1].
        record: counts and overlaps.
    """

    tokenizer: Tokenizer
    streams: dict[str, Tensor]
    unseen: dict[str, Tensor]
    record: dict


def prepare(settings: dict) -> TrainingData:
    """Read, split, tokenize and check all text that the config's `training` section names."""
    seen, unseen = read_texts(settings)
    limit = settings["tokenizer_bytes"]
    samples = [text for texts in seen.values() for text in head(texts, limit)]
    tokenizer = train_tokenizer(samples, settings["vocabulary"])
    unseen_ids = {kind: encode(tokenizer, texts) for kind, texts in unseen.items()}
    streams, record = {}, {}
    for kind, texts in seen.items():
        ids = encode(tokenizer, texts)
        kept, record[kind] = without_overlap(ids, unseen_ids[kind], settings)
        streams[kind] = torch.from_numpy(np.concatenate(kept).astype(np.int32)).to(settings["device"])
    context = settings["context_tokens"]
    unseen_windows = {kind: windows(ids, context).to(settings["device"]) for kind, ids in unseen_ids.items()}
    return TrainingData(tokenizer, streams, unseen_windows, record)


def read_texts(settings: dict) -> tuple[dict, dict]:
    """Training texts and unseen texts, each a list by kind."""
    books, held_out = hold_out(_files("prose", settings["prose"]), settings["holdout_every"])
    more = [text for pattern in settings["prose_extra"] for text in _files("prose_extra", pattern)]
    folder = Path(settings["code"] or sysconfig.get_path("purelib"))
    code = python_sources(folder, settings["code_bytes"], settings["seed"])
    unseen_code = [text for _, text in documents(settings["unseen_code"])]
    return {"prose": books + more, "code": code}, {"prose": held_out, "code": unseen_code}


def _files(key: str, pattern: str) -> list[str]:
    """The texts of the files that match a glob, sorted by name."""
    paths = sorted(map(Path, glob(pattern)))
    if not paths:
        raise UserError(f"training.{key}: no file matches {shown(pattern)}")
    return [read_text(path) for path in paths]


def hold_out(texts: list, every: int) -> tuple[list, list]:
    """Split a sorted list into (kept, held out): the first and every `every`-th item are held out."""
    return [text for index, text in enumerate(texts) if index % every], texts[::every]


def python_sources(folder: Path, max_bytes: int, seed: int) -> list[str]:
    """Distinct Python sources below `folder`, in a seeded random order, `max_bytes` at most."""
    paths = sorted(path for path in folder.rglob("*.py") if path.is_file())
    random.Random(seed).shuffle(paths)
    small = (path for path in paths if path.stat().st_size <= MAX_FILE_BYTES)
    texts = dict.fromkeys(path.read_text(encoding="utf-8", errors="replace") for path in small)
    if not any(texts):
        raise UserError(f"training.code: no Python source below {folder}")
    return head([text for text in texts if text], max_bytes)


def head(texts: list[str], max_bytes: int) -> list[str]:
    """The first texts, `max_bytes` at most in all but at least one text."""
    ends = accumulate(len(text.encode()) for text in texts)
    fitting = sum(end <= max_bytes for end in ends)
    return texts[: max(1, fitting)]


def without_overlap(files: list, unseen: list, settings: dict) -> tuple[list, dict]:
    """The files that repeat little of the unseen ones, and a record of what was found.

    A file goes if more than `overlap_share` of its sequences of `overlap_tokens` tokens stand in unseen
    text, as in a vendored copy of a standard-library module.
    """
    length, device = settings["overlap_tokens"], settings["device"]
    shares = overlap_shares(files, unseen, length, device)
    kept = [ids for ids, share in zip(files, shares, strict=True) if share <= settings["overlap_share"]]
    return kept, {
        "files": len(kept),
        "files_dropped": len(files) - len(kept),
        "tokens": sum(map(len, kept)),
        "unseen_tokens": sum(map(len, unseen)),
        "unseen_overlap_before": overlap_share(unseen, files, length, device),
        "unseen_overlap": overlap_share(unseen, kept, length, device),
    }


def train_tokenizer(texts: list[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE tokenizer without a normalizer, so that its tokens are exactly the text's bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    """Token ids, uint16 [tokens], of each text, end-of-text at its end."""
    batches = (texts[start : start + FILES_PER_CALL] for start in range(0, len(texts), FILES_PER_CALL))
    encoded = (item.ids for batch in batches for item in tokenizer.encode_batch_fast(batch))
    return [np.array([*ids, END_ID], dtype=np.uint16) for ids in encoded]


def token_bytes(tokenizer: Tokenizer) -> Tensor:
    """Bytes of text that each token stands for, int64 [vocabulary]; end-of-text stands for none."""
    sizes = [len(tokenizer.id_to_token(token)) for token in range(tokenizer.get_vocab_size())]
    sizes[END_ID] = 0
    return torch.tensor(sizes)


def windows(files: list[np.ndarray], context: int) -> Tensor:
    """Consecutive pieces of `context` tokens, each after an end-of-text, int64 [windows, context + 1]."""
    pieces = [file[: len(file) // context * context].reshape(-1, context) for file in files]
    tokens = torch.from_numpy(np.concatenate(pieces).astype(np.int64))
    return torch.nn.functional.pad(tokens, (1, 0), value=END_ID)


def sample(stream: Tensor, count: int, context: int, generator: torch.Generator) -> Tensor:
    """Samples from random places, int64 [count, context + 1], each starting with end-of-text."""
    starts = torch.randint(len(stream) - context, (count, 1), generator=generator, device=stream.device)
    tokens = stream[starts + torch.arange(context + 1, device=stream.device)].long()
    tokens[:, 0] = END_ID
    return tokens
