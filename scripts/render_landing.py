"""The first page of the report."""

from pathlib import Path

from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report.pages.landing import page
from sinkbench.runtime.job import job


def render(measurements_path: str, figures: list[str], facts: dict, output: str) -> None:
    """Write the page from the measurements, the headline figure if any, and catalogue.landing_facts."""
    measurements, _ = read_table(measurements_path)
    figure = Path(figures[0]).read_bytes() if figures else None
    write_text(output, page(measurements, facts, figure))
    write_lineage([output], facts, from_measurements(measurements_path))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(
            snakemake.input.measurements,
            snakemake.input.figure,
            snakemake.params.facts,
            snakemake.output.page,
        )
