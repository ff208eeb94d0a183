"""One figure in every format. One without numbers says so: the rest of the study is worth its report."""

import pandas as pd
from sinkbench.analysis.select import NotMeasured, statuses
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report import figures
from sinkbench.report.figures import _style
from sinkbench.runtime.job import job

MISSING_SHOWN = 12


def missing(measurements: pd.DataFrame) -> list[str]:
    """What gave no number and why, for people who look for it: not more than a page holds."""
    said = [f"{name}: {status}" for name, status in statuses(measurements).items()]
    rest = len(said) - MISSING_SHOWN
    return said[:MISSING_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])


def render(measurements_path: str, about: dict, outputs: list[str]) -> None:
    """Draw the figure that `about` (catalogue.job_spec) names, and write it in the formats of the outputs."""
    measurements, _ = read_table(measurements_path)
    try:
        figure = _style.draw(figures.load(about["word"]), measurements, about["words"])
    except NotMeasured as reason:
        hint = f" ({reason})" if str(reason) else ""
        line = f"{about['title']}: not drawn, since this study has no numbers for it{hint}"
        print(f"NOTHING DRAWN {line}", flush=True)
        figure = _style.text_figure([line, *missing(measurements)])
    _style.save(figure, about["title"], *outputs)
    write_lineage(outputs, about, from_measurements(measurements_path))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(snakemake.input.measurements, snakemake.params.about, snakemake.output)
