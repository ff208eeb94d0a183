"""Where the time of a decode step of one run goes."""

from sinkbench.runtime.gpu_lease import lease_gpu
from sinkbench.runtime.job import job
from sinkbench.runtime.threads import use_all_cores

if __name__ == "__main__":
    with job(snakemake.log[0]), lease_gpu(snakemake.params.settings["device"]):
        from sinkbench.measure.profile import measure_profile  # its imports may initialise CUDA

        use_all_cores()
        measure_profile(snakemake.params.settings, snakemake.input.tokens, snakemake.output.profile)
