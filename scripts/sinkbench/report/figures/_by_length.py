"""One panel: how a measured quantity of every run grows with the length of what was read."""

import pandas as pd
from matplotlib.axes import Axes

from sinkbench.report.figures._labels import label_ends
from sinkbench.report.figures._palette import text_colour
from sinkbench.report.figures._style import label, lines_of_runs, log_axis, style_of

XLABEL = "Context length (dense) or stream position [tokens]"


def draw_growth(axes: Axes, measurements: pd.DataFrame, metric: str, heading: str, scale: float = 1) -> None:
    """Draw `metric`, times `scale`, of the runs that _style.lines chooses; both axes are logarithmic.

    A run that was timed by budget does not depend on the position, and is a horizontal line.
    """
    ends, points = [], set()
    for row, line in lines_of_runs(measurements, metric):
        values = line[["value", "low", "high"]] * scale
        if not (values["value"] > 0).all():
            continue  # nothing held between steps: no place on a logarithmic axis
        if row["position_kind"] == "budget":
            axes.axhline(values["value"].iloc[-1], **{**style_of(measurements, row), "marker": None})
        else:
            points |= set(line["position"])
            _draw_line(axes, line["position"], values, style_of(measurements, row))
        end = None if row["position_kind"] == "budget" else line["position"].iloc[-1]
        ends.append((end, values["value"].iloc[-1], label(row, measurements), text_colour(row["policy"])))
    axes.set(xlabel=XLABEL, ylabel=heading)
    log_axis(axes, "x", sorted(points) or None)
    log_axis(axes, "y")
    right = axes.get_xlim()[1]
    label_ends(axes, [(end or right, *about) for end, *about in ends], edge_from=0)


def _draw_line(axes: Axes, positions: pd.Series, values: pd.DataFrame, style: dict) -> None:
    ends = values[["low", "high"]].fillna({"low": values["value"], "high": values["value"]})
    errors = [values["value"] - ends["low"], ends["high"] - values["value"]]
    axes.errorbar(positions.astype(float), values["value"], yerr=errors, elinewidth=0.8, **style)
