"""Speculative decoding along the stream: how many drafts stay, and what that is worth."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinkbench.analysis.select import NotMeasured, matching, usable
from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import GREY, colour, text_colour
from sinkbench.report.figures._style import MARKERS, log_axis, panels

TITLE = "Speculative decoding along the stream"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "device")
CAPTION = (
    "Above: drafts that stay, of those that were judged. Below: time per token of a method without drafts "
    "over that with drafts ({device}); above the dotted line speculation pays. Both by the stream position "
    "(dense: context length) where decoding started. Each point is over several places of real text that "
    "were continued, with {confidence} % intervals. k is the number of tokens drafted in a round; of each k "
    "the fastest engine is shown. Colours are those of the policies. A draft model's lines are solid, or "
    "dashed where tokens were sampled. Those of lookup, which drafts what followed the same tokens before, "
    "are dotted, or dotted and dashed."
)
HEIGHT_INCHES = 3.2
# metric: title, unit
PANELS = {"acceptance_rate": ("Drafts that stay", "Share"), "speedup": ("Speed-up by drafts", "Times")}
LINE = ["method", "drafts", "draft_tokens", "temperature"]


def draw(measurements: pd.DataFrame, fields: dict) -> Figure:
    """See CAPTION."""
    rows = _fastest(usable(measurements))
    figure, axes = panels([title for title, _ in PANELS.values()], HEIGHT_INCHES)
    axes[0].set_ylim(0, 1)
    axes[1].axhline(1, color=GREY, linestyle=":", linewidth=1)
    for axis, (metric, (_, unit)) in zip(axes, PANELS.items(), strict=True):
        _panel(axis, matching(rows, metric=metric), unit)
    return figure


def _fastest(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with drafts, each line on the engine of its smallest TPOT; speed-ups against the method itself."""
    rows = rows[rows["drafts"].notna()]
    if matching(rows, metric="acceptance_rate").empty:
        raise NotMeasured("")
    times = matching(rows, metric="tpot_ms").sort_values("value", kind="stable")
    best = times.drop_duplicates(LINE).set_index([*LINE, "engine"]).index
    rows = rows[rows.set_index([*LINE, "engine"]).index.isin(best)]
    named = [
        against.startswith(f"{method}.")
        for method, against in zip(rows["method"], rows["against"].fillna(""), strict=True)
    ]
    own = pd.Series(named, index=rows.index)
    return rows[(rows["metric"] != "speedup") | own]


def _panel(axes: Axes, rows: pd.DataFrame, unit: str) -> None:
    ends, sizes = [], sorted(rows["draft_tokens"].unique())
    for (method, drafts, draft_tokens, temperature), line in rows.groupby(LINE, sort=False):
        line = line.sort_values("position")
        policy, position = line["policy"].iloc[0], line["position"].astype(float)
        style = {"color": colour(policy), "marker": MARKERS[sizes.index(draft_tokens) % len(MARKERS)]}
        errors = [line["value"] - line["low"], line["high"] - line["value"]]
        lookup = drafts == "lookup"
        dashes = (":", "-.")[temperature > 0] if lookup else ("-", "--")[temperature > 0]
        axes.errorbar(
            position, line["value"], errors, markersize=4, elinewidth=0.8, linestyle=dashes, **style
        )
        name = f"{method.replace('-', ' ')}{', lookup' * lookup}, k = {draft_tokens}"
        name += ", sampled" if temperature else ""
        ends.append((position.iloc[-1], line["value"].iloc[-1], name, text_colour(policy)))
    axes.set(xlabel="Stream position or context length [tokens]", ylabel=unit)
    log_axis(axes, "x", sorted(rows["position"].dropna().unique()) or None)
    label_ends(axes, ends)
