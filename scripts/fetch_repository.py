"""Download one repository of the hub at its pinned revision."""

from sinkbench.artifacts.hub_download import fetch
from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        fetch(**snakemake.params.repository)
