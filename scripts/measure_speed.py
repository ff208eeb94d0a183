"""Time and memory of one run: a method on an engine."""

from sinkbench.job import job
from sinkbench.speed import measure_speed

if __name__ == "__main__":
    with job(snakemake.log[0]):
        measure_speed(snakemake.params.settings, snakemake.input.tokens, snakemake.output.steps)
