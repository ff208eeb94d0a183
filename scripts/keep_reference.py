"""What a study shows, and the timings that it shows it of, as files to keep under version control."""

from pathlib import Path
from shutil import copyfile

from sinkbench.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]):
        kept = Path(snakemake.output[0])
        copies = {path: kept / Path(path).name for path in snakemake.input.shown}
        # In the folders of the results, so that a study goes on from them once they lie there again.
        copies |= {
            path: kept / "timings" / Path(path).relative_to(snakemake.params.results)
            for path in snakemake.input.timings
        }
        for source, target in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(source, target)
