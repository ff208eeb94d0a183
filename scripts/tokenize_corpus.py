"""Tokenize one corpus into one token file and its record."""

from sinkbench.runtime.job import job
from sinkbench.text.tokens import tokenize

if __name__ == "__main__":
    with job(snakemake.log[0]):
        tokenize(snakemake.params.settings, snakemake.output.tokens, snakemake.output.record)
