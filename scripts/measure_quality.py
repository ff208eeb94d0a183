"""Exact per-token NLLs of one method over one corpus."""

from sinkbench.job import job
from sinkbench.quality import measure_quality

if __name__ == "__main__":
    with job(snakemake.log[0]):
        measure_quality(snakemake.params.settings, snakemake.input.tokens, snakemake.output.nll)
