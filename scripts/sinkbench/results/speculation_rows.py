"""Measurements of speculation: how many drafts stay, how many tokens a round gives, and how many it must."""

import numpy as np
import pandas as pd

from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap


def record_acceptance(recorder: RowRecorder, bootstrap: Bootstrap, here: dict, rounds: pd.DataFrame) -> None:
    """Add the rows of one point of a run.

    Args:
        here: the columns that say what was measured, `drafted` among them.
        rounds: repetition, step and tokens of every round. The rounds of a repetition continue one text and
            are resampled together.
    """
    frame = rounds.assign(document=rounds["repetition"], position=0)
    recorder.add(here, "tokens_per_step", *bootstrap.mean(frame, "tokens"), n=len(frame))
    drafts = judged(frame, here["draft_tokens"])
    share = np.clip(bootstrap.mean(drafts, "stays"), 0, 1)  # Student's t knows no bounds
    recorder.add(here, "acceptance_rate", *share, n=len(drafts))


def record_break_even(recorder: RowRecorder, bootstrap: Bootstrap, here: dict, rounds_ms, tpot_ms) -> None:
    """Add how many tokens a round must give to be as fast as a baseline without drafts.

    Args:
        rounds_ms, tpot_ms: of each repetition, the mean round and the baseline's time per token.
    """
    recorder.add(here, "break_even_tokens", *bootstrap.ratio(rounds_ms, tpot_ms), n=len(rounds_ms))


def judged(rounds: pd.DataFrame, draft_tokens: int) -> pd.DataFrame:
    """One row for every draft that was judged, with `stays`: none is after the first that does not stay."""
    stayed = rounds.loc[rounds.index.repeat(rounds["tokens"] - 1)].assign(stays=1)
    return pd.concat((stayed, rounds[rounds["tokens"] <= draft_tokens].assign(stays=0)), ignore_index=True)
