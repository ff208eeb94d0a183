"""Download one repository of the hub at its pinned revision."""

from sinkbench.artifacts.hub_download import fetch
from sinkbench.runtime.job import job
from sinkbench.study.inputs import stated_digests

if __name__ == "__main__":
    with job(snakemake.log[0]):
        # From the config and not from params, since a digest that is stated later fetches nothing again.
        stated = stated_digests(snakemake.config).get(snakemake.wildcards.folder, {})
        fetch(**snakemake.params.repository, stated=stated)
