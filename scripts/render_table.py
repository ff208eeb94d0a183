"""One table in every format."""

from sinkbench.artifacts.lineage import from_measurements, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report import formats, tables
from sinkbench.runtime.job import job


def render(measurements_path: str, about: dict, outputs: list[str]) -> None:
    """Make the table that `about` (catalogue.job_spec) names, and write it in the formats of the outputs."""
    measurements, _ = read_table(measurements_path)
    table = tables.load(about["word"]).build(measurements, about["words"])
    for path in outputs:
        formats.write(path, table, about["title"], about["caption"])
    write_lineage(outputs, about, from_measurements(measurements_path))


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(snakemake.input.measurements, snakemake.params.about, snakemake.output)
