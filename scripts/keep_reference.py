"""What a study shows, and the timings that it shows it of, as files to keep under version control."""

from pathlib import Path
from shutil import copyfile

from sinkbench.artifacts.files import atomic_folder
from sinkbench.runtime.job import job

if __name__ == "__main__":
    with job(snakemake.log[0]), atomic_folder(snakemake.params.folder) as kept:
        copies = {path: kept / path.name for path in map(Path, snakemake.input.shown)}
        # In folders as those of the results, so that a study goes on from them once they lie there again.
        timings = map(Path, snakemake.input.timings)
        copies |= {path: kept / "timings" / path.parent.name / path.name for path in timings}
        for source, target in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(source, target)
