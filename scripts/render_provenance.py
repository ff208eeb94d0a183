"""The report's page of provenance."""

from sinkbench.artifacts.files import read_json, write_text
from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.report.pages.provenance import page
from sinkbench.runtime.job import job


def render(environment_path: str, measurements_path: str, facts: dict, output: str) -> None:
    """Write the page from environment.json, made with the measurements, and catalogue.provenance_facts."""
    write_text(output, page(read_json(environment_path), facts["study"]))
    write_lineage([output], facts, from_measurements(measurements_path))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(
            snakemake.input.environment,
            snakemake.input.measurements,
            snakemake.params.facts,
            snakemake.output.page,
        )
