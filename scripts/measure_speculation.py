"""Time and acceptance of one run with a draft model."""

from sinkbench.runtime.gpu_lease import lease_gpu
from sinkbench.runtime.job import job
from sinkbench.runtime.threads import use_all_cores

if __name__ == "__main__":
    with job(snakemake.log[0]), lease_gpu(snakemake.params.settings["device"]):
        from sinkbench.measure.speculation import measure_speculation  # its imports may initialise CUDA

        use_all_cores()
        measure_speculation(snakemake.params.settings, snakemake.input.tokens, snakemake.output.steps)
