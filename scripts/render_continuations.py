"""The report's page of continuations."""

from sinkbench.artifacts.files import write_text
from sinkbench.artifacts.hub import local_folder
from sinkbench.artifacts.lineage import from_continuations, write_lineage
from sinkbench.artifacts.parquet import read_table
from sinkbench.report.pages.continuations import page
from sinkbench.runtime.job import job
from sinkbench.text.tokens import load_tokenizer


def render(paths: list[str], facts: dict, output: str) -> None:
    """Write the page of the results at `paths`, in the order of the runs that `facts` names."""
    tokenizer = load_tokenizer(local_folder(facts["tokenizer"]) / "tokenizer.json")
    results = {run: read_table(path) for run, path in zip(facts["runs"], paths, strict=True)}
    write_text(output, page(results, tokenizer, facts))
    write_lineage([output], facts, from_continuations(paths, facts), paths)


if __name__ == "__main__":
    with job(snakemake.log[0]):
        render(snakemake.input.ids, snakemake.params.facts, snakemake.output.page)
