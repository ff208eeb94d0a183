"""The report's page of findings."""

from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report.pages.findings import page
from sinkbench.runtime.job import job


def render(measurements_path: str, facts: dict, output: str) -> None:
    """Write the page from the measurements and catalogue.findings_facts."""
    measurements, _ = read_table(measurements_path)
    write_text(output, page(measurements, facts))
    write_lineage([output], facts, from_measurements(measurements_path))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(snakemake.input.measurements, snakemake.params.facts, snakemake.output.page)
