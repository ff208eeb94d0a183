"""Draw docs/answer.svg, the README's figure, from the kept numbers: python docs/draw_answer.py"""

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

HERE = Path(__file__).parent
LADDER = HERE / "reference/ladder/ladder.csv"
DENSE, STREAMING = "#D55E00", "#0072B2"  # as in the report
# (method, engine, what the bar says)
BARS = [
    ("dense", "hf_flash", "dense, transformers, flash"),
    ("dense", "hf_static", "dense, transformers, compiled"),
    ("dense", "graph", "dense, CUDA graph"),
    ("dense", "fused", "dense, our kernels"),
    ("streaming-4+2044", "eager", "streaming, kernel by kernel"),
    ("streaming-4+2044", "graph", "streaming, CUDA graph"),
    ("streaming-4+2044", "fused", "streaming, our kernels"),
    ("streaming-4+2044-int8_mlp", "fused", "with int8 in the MLP"),
    ("streaming-4+2044-int8", "fused", "with int8 everywhere"),
]


def row_of(ladder: pd.DataFrame, method: str, engine: str) -> pd.Series:
    """The single-stream row of a run; ValueError if there is not exactly one."""
    found = ladder[(ladder["Method"] == method) & (ladder["Engine"] == engine) & (ladder["Batch"] == 1)]
    if len(found) != 1:
        raise ValueError(f"{LADDER}: {len(found)} rows of {method}.{engine}, not one")
    return found.iloc[0]


def draw() -> Figure:
    """One bar a run: the floor dark, what the engine adds light, the time with its interval behind it."""
    matplotlib.rcParams.update({"svg.hashsalt": "answer", "font.size": 10})
    ladder = pd.read_csv(LADDER)
    figure = Figure(figsize=(5.6, 3.5), layout="constrained")
    axes = figure.subplots()
    for place, (method, engine, _) in enumerate(BARS):
        row = row_of(ladder, method, engine)
        tpot, low, high = (row[f"TPOT [ms]{end}"] for end in ("", " low", " high"))
        colour = DENSE if method == "dense" else STREAMING
        axes.barh(place, tpot, color=colour, alpha=0.35)
        axes.barh(place, row["Floor [ms]"], color=colour)
        axes.text(tpot + 0.3, place, f"{tpot:#.3g}  [{low:#.3g}, {high:#.3g}]", va="center")
    axes.set_yticks(range(len(BARS)), [text for *_, text in BARS])
    axes.set(xlim=(0, 47), xticks=range(0, 30, 5), xlabel="ms per token; dark: reading its bytes once")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    draw().savefig(HERE / "answer.svg", metadata={"Date": None})
