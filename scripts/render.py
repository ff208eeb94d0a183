"""All tables, all figures or all pages of a study: starting a job takes longer than one of them."""

from importlib import import_module
from pathlib import Path

from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        results = Path(snakemake.input.measurements).parent
        import_module(f"sinkbench.report.{snakemake.params.kind}").render(results, snakemake.params.specs)
