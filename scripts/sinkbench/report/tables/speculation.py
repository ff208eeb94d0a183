"""One row per run with drafts and point: what a round costs, what it gives, and what it must give."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.select import RUN, matching, run_name, status_warnings, usable

TITLE = "Speculative decoding: rounds, drafts that stay, and speed"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "dagger")
CAPTION = (
    "Speculative decoding changes no output, so a run has the perplexity of its method. Drafts are a draft "
    "model's, or (lookup) what followed the same tokens before. Round is the time of at most k drafts and "
    "their verification; a round gives k + 1 tokens at most. Break-even: tokens that a round must give to be "
    "as fast as its method and engine without drafts. Tokens a round are what it gave. Drafts that stay are "
    "of those that were judged; after the first that does not stay, none is judged, and none in a round "
    "without drafts. A run continues real text of the named corpus from several places. Loops are places "
    "from which its last 64 tokens repeat with a period of at most 32. Times are medians and shares are "
    "means over places, with {confidence} % intervals over places. Drafts of random weights say nothing of "
    "acceptance, so only rounds are shown. {dagger}"
)
# heading, metric, format, scale
CELLS = (
    ("Round [ms]", "round_ms", ".2f", 1),
    ("Break-even [tokens a round]", "break_even_tokens", ".2f", 1),
    ("Tokens a round", "tokens_per_step", ".2f", 1),
    ("Rounds with drafts [%]", "drafted_rounds", ".0f", 100),
    ("Drafts that stay [%]", "acceptance_rate", ".0f", 100),
    ("Loops", "loops", ".0f", 1),
    ("TPOT [ms]", "tpot_ms", ".2f", 1),
    ("Speed-up [x]", "speedup", ".2f", 1),
    ("Largest NLL gap [nats]", "nll_gap_max", ".1e", 1),
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A run without a number has its status instead."""
    drafted = measurements[measurements["drafts"].notna()]
    points = drafted.drop_duplicates([*RUN, "position"]).to_dict("records")
    timed = drafted[drafted["position"].notna()].groupby(RUN).groups
    shown = [row for row in points if not pd.isna(row["position"]) or _key(row) not in timed]
    return without_empty_columns(pd.DataFrame([_row(drafted, usable(measurements), row) for row in shown]))


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in RUN)


def _row(drafted: pd.DataFrame, valid: pd.DataFrame, row: dict) -> dict:
    key = {name: row[name] for name in RUN}
    own = matching(valid, **key)
    here = own[own["position"].isna() | (own["position"] == row["position"]).fillna(False).astype(bool)]
    return {
        "Run": run_name(row),
        "Corpus": next(iter(here["corpus"].dropna()), ""),
        "Position": "" if pd.isna(row["position"]) else Estimate(int(row["position"]), spec=",d"),
        **{heading: _cell(here, *how) for heading, *how in CELLS},
        "Status": "; ".join(status_warnings(matching(drafted, **key), row["position"])),
    }


def _cell(rows: pd.DataFrame, metric: str, spec: str, scale: float) -> Estimate | str:
    """The number of the metric's first row; of comparisons the first named baseline's."""
    rows = matching(rows, metric=metric)
    if rows.empty:
        return ""
    note = f"of {rows.iloc[0]['n']}" if metric == "loops" else ""
    return estimate(rows.iloc[0], spec, scale, note)
