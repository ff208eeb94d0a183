"""The claims under test against what was measured."""

from dataclasses import asdict

import pandas as pd

from sinkbench.analysis.claims import judge

TITLE = "Verdict on the claims"
CATEGORY = "findings"
CAPTION_FIELDS = ("claims", "confidence", "dagger")
CAPTION = (
    "Each claim beside its verdict, what this study measured, and the threshold. A claim is reproduced if "
    "the whole {confidence} % interval lies on its side of the threshold. It is refuted if the whole "
    "interval lies on the other, and undecided if the interval spans it. A number that is disturbed or has "
    "no interval decides nothing. A claim must hold in every comparison, unless its threshold says that one "
    "suffices. In brackets: how many of several comparisons made the verdict. Each has its own {confidence} "
    "% interval, so that one of many may refute by chance. {dagger}"
)
COLUMNS = ["claim", "verdict", "measured", "threshold"]


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """One row per claim that the config names."""
    verdicts = [judge(word, measurements) for word in fields["claims"]]
    rows = [{**asdict(verdict), "verdict": verdict.conclusion} for verdict in verdicts]
    return pd.DataFrame(rows)[COLUMNS].rename(columns=str.capitalize)
