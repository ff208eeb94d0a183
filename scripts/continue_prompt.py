"""A continuation of one prompt by one run."""

from sinkbench.runtime.gpu_lease import lease_gpu
from sinkbench.runtime.job import job
from sinkbench.scoring_threads import use_cores_to_score

if __name__ == "__main__":
    with job(snakemake.log[0]), lease_gpu(snakemake.params.settings["device"], shared=True):
        from sinkbench.measure.continuation import measure_continuation  # its imports may initialise CUDA

        use_cores_to_score(snakemake.params.settings["device"], snakemake.threads)
        measure_continuation(snakemake.params.settings, snakemake.input.tokens, snakemake.output.ids)
