"""The claims of the brief against what was measured."""

from dataclasses import asdict

import pandas as pd

from sinkbench.analysis.claims import judge

TITLE = "Verdict on the claims"
CATEGORY = "findings"
CAPTION_FIELDS = ("claims", "confidence", "dagger")
CAPTION = (
    "Each claim with its threshold and what this study measured. A claim is reproduced if the whole "
    "{confidence} % interval lies on its side of the threshold, refuted if the whole interval lies on the "
    "other, and undecided if the interval spans it. With several corpora it must hold on each. Claims that "
    "no part of the study measures are listed too. {dagger}"
)
COLUMNS = ["claim", "threshold", "measured", "verdict"]


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """One row per claim that the config names."""
    verdicts = [judge(word, measurements) for word in fields["claims"]]
    return pd.DataFrame([asdict(verdict) for verdict in verdicts])[COLUMNS].rename(columns=str.capitalize)
