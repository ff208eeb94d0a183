"""Train the demonstration model and its draft."""

from sinkbench.runtime.job import job
from sinkbench.training.train import train

if __name__ == "__main__":
    with job(snakemake.log[0]):
        train(snakemake.params.settings, snakemake.output[0])
