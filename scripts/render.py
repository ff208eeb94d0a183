"""All tables, all figures or all pages of a study: starting a job takes longer than one of them."""

from importlib import import_module

from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        kind = import_module(f"sinkbench.report.{snakemake.params.kind}")
        kind.render(snakemake.params.results, snakemake.params.specs)
