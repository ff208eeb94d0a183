"""One measuring job; its settings name the module of sinkbench.measure that does it."""

from sinkbench import registry
from sinkbench.runtime.gpu_lease import lease_gpu
from sinkbench.runtime.job import job

# Jobs that nobody times: several may share a GPU, each has its core.
SCORING = ("quality", "recall", "sinks", "continuation", "self_check")

if __name__ == "__main__":
    settings = snakemake.params.settings
    scores = settings["job"] in SCORING
    with job(snakemake.log[0]), lease_gpu(settings["device"], shared=scores):
        from sinkbench.runtime.threads import use_all_cores, use_cores_to_score  # torch may initialise CUDA

        if scores:
            use_cores_to_score(settings["device"], snakemake.threads)
        else:
            use_all_cores()
        measure = registry.load("measure", settings["job"]).measure
        measure(settings, snakemake.input.tokens, snakemake.output[0])
