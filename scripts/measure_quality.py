"""Exact per-token NLLs of one method over one corpus."""

from sinkbench.gpus import gpu
from sinkbench.job import job
from sinkbench.quality import measure_quality
from sinkbench.threads import use_all_cores

if __name__ == "__main__":
    with job(snakemake.log[0]), gpu(snakemake.params.settings["device"], shared=True):
        use_all_cores()
        measure_quality(snakemake.params.settings, snakemake.input.tokens, snakemake.output.nll)
