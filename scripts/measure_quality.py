"""Exact per-token NLLs of one method over one corpus."""

from sinkbench.runtime.gpu_lease import lease_gpu
from sinkbench.runtime.job import job
from sinkbench.scoring_threads import use_cores_to_score

if __name__ == "__main__":
    with job(snakemake.log[0]), lease_gpu(snakemake.params.settings["device"], shared=True):
        from sinkbench.measure.quality import measure_quality  # its imports may initialise CUDA

        use_cores_to_score(snakemake.params.settings["device"], snakemake.threads)
        measure_quality(snakemake.params.settings, snakemake.input.tokens, snakemake.output.nll)
