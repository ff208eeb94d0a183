"""Figures: a file each. `report/figures/<name>.py` defines:

    TITLE, CAPTION      what is shown and how intervals are made; {fields} of the caption are filled in
    CATEGORY            the part of the report that shows the figure: one of catalogue.CATEGORIES
    CAPTION_FIELDS      facts of the config that caption and figure need (catalogue.caption_fields)
    draw(measurements, fields)  a matplotlib Figure, made without pyplot

`draw` raises select.NotMeasured if the study lacks the numbers. What figures share is in `_style`.
"""

import os
from pathlib import Path

import pandas as pd

from sinkbench import registry
from sinkbench.analysis.select import NotMeasured, is_partial, statuses
from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report.rst import caption
from sinkbench.results.schema import PENDING

# Before anything imports matplotlib: a notebook exports a backend that nobody has outside of it.
os.environ["MPLBACKEND"] = "agg"

ENDINGS = ("svg", "pdf")
MISSING_SHOWN = 12


def render(results: Path, specs: dict[str, dict]) -> None:
    """Write every figure below results/figures as SVG and PDF, with its caption beside.

    Args:
        results: folder of the study, which holds the measurements.
        specs: what each figure's job is told (catalogue.specs), by its name.
    """
    source, folder = results / "measurements.parquet", results / "figures"
    measurements, _ = read_table(source)
    for name, spec in specs.items():
        paths = [folder / f"{name}.{ending}" for ending in ENDINGS]
        render_one(name, spec, measurements, paths)
        write_text(folder / f"{name}.rst", caption(spec["caption"]))
        write_lineage(paths, spec, from_measurements(source))


def render_one(name: str, spec: dict, measurements: pd.DataFrame, paths: list[Path]) -> None:
    """Draw one figure. One without numbers says so: the rest of the study is worth its report."""
    from sinkbench.report.figures import _style  # here, since its modules are imported without drawing too

    try:
        figure = _style.draw(registry.load("report/figures", name), measurements, spec["fields"])
    except NotMeasured as reason:
        line = f"{spec['title']}: not drawn, since {_lack(measurements, str(reason))}"
        print(f"NOTHING DRAWN {line}", flush=True)
        figure = _style.text_figure([line, *_missing(measurements)])
    _style.save(figure, spec["title"], *paths)


def _lack(measurements: pd.DataFrame, reason: str) -> str:
    """Why there are no numbers: none was planned, a run gave none, or they are still to come."""
    lack = f"its numbers are {PENDING}" if is_partial(measurements) else "this study has no numbers for it"
    return lack + (f" ({reason})" if reason and PENDING not in reason else "")


def _missing(measurements: pd.DataFrame) -> list[str]:
    """What gave no number and why, for people who look for it: not more than a page holds."""
    said = [f"{name}: {status}" for name, status in statuses(measurements).items()]
    rest = len(said) - MISSING_SHOWN
    return said[:MISSING_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])
