"""Overlap of two sets of texts, by shared sequences of consecutive tokens."""

import numpy as np
import torch
from torch import Tensor

HASH_MULTIPLIER = 6364136223846793005  # odd, so that multiplying modulo 2^64 loses nothing


def overlap_shares(
    files: list[np.ndarray], reference: list[np.ndarray], length: int, device: str
) -> np.ndarray:
    """Share of each file's sequences of `length` tokens that occur in any reference file, float [files]."""
    ids, bounds = _joined(files, device)
    known, known_bounds = _joined(reference, device)
    inside = _inside(bounds, length, device)
    known_hashes = sequence_hashes(known, length)[_inside(known_bounds, length, device)]
    found = torch.isin(sequence_hashes(ids, length), known_hashes) & inside
    return _sums(found, bounds) / np.maximum(1, _sums(inside, bounds))


def overlap_share(files: list[np.ndarray], reference: list[np.ndarray], length: int, device: str) -> float:
    """Share of all files' sequences of `length` tokens that occur in any reference file."""
    shares = overlap_shares(files, reference, length, device)
    return float(np.average(shares, weights=[max(0, len(file) - length + 1) for file in files]))


def sequence_hashes(ids: Tensor, length: int) -> Tensor:
    """64-bit hashes of the `length` tokens from each position on, int64 [tokens - length + 1]."""
    count = max(0, len(ids) - length + 1)
    hashes = torch.zeros(count, dtype=torch.int64, device=ids.device)
    for offset in range(length):
        hashes = hashes * HASH_MULTIPLIER + ids[offset : offset + count] + 1
    return hashes


def _joined(files: list[np.ndarray], device: str) -> tuple[Tensor, np.ndarray]:
    """All ids in a row, int64 [tokens], and where each file starts and ends, [files + 1]."""
    ids = torch.from_numpy(np.concatenate(files).astype(np.int64)).to(device)
    return ids, np.cumsum([0, *map(len, files)])


def _inside(bounds: np.ndarray, length: int, device: str) -> Tensor:
    """Which sequences lie within one file, bool [tokens - length + 1]."""
    inside = torch.ones(max(0, int(bounds[-1]) - length + 1), dtype=torch.bool, device=device)
    crossing = bounds[1:-1, None] - np.arange(1, length)
    inside[torch.from_numpy(crossing[(crossing >= 0) & (crossing < len(inside))]).to(device)] = False
    return inside


def _sums(flags: Tensor, bounds: np.ndarray) -> np.ndarray:
    """How many flags are set within each file, int [files]."""
    totals = torch.nn.functional.pad(flags.long().cumsum(0), (1, 0)).cpu().numpy()
    clipped = np.minimum(bounds, len(flags))
    return totals[clipped[1:]] - totals[clipped[:-1]]
