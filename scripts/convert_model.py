"""Convert one gguf file to a model folder."""

from sinkbench.model.gguf import convert
from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        convert(snakemake.params.source)
