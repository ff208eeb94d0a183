"""Time and acceptance of one run with a draft model."""

from sinkbench.gpus import gpu
from sinkbench.job import job
from sinkbench.speculative_speed import measure_speculation
from sinkbench.threads import use_all_cores

if __name__ == "__main__":
    with job(snakemake.log[0]), gpu(snakemake.params.settings["device"]):
        use_all_cores()
        measure_speculation(snakemake.params.settings, snakemake.input.tokens, snakemake.output.steps)
