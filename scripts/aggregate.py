"""One tidy table of measurements from all quality, speed and profile jobs."""

from sinkbench.results.aggregate import aggregate
from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        aggregate(
            snakemake.params.plan,
            snakemake.input.quality,
            snakemake.input.speed,
            snakemake.input.profile,
            snakemake.input.schema,
            snakemake.output.table,
            snakemake.output.csv,
            snakemake.output.environment,
            snakemake.input.self_checks,
        )
