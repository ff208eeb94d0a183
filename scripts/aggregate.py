"""One tidy table of measurements from all measuring jobs but continuations."""

from sinkbench.results.aggregate import RECORDS, aggregate
from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregate(
            snakemake.params.plan,
            {kind: list(snakemake.input.get(kind, [])) for kind in RECORDS},
            snakemake.input.schema,
            snakemake.output.table,
            snakemake.output.csv,
            snakemake.output.environment,
            snakemake.input.self_checks,
        )
