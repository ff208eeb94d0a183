"""What a study has measured so far, without Snakemake and its lock, so that it works while the study runs:

python scripts/so_far.py [overlay.yaml ...]

Config files as behind Snakemake's --configfile; none shows the study of config.yaml.
"""

import sys
from pathlib import Path

import yaml
from sinkbench.errors import UserError
from sinkbench.runtime.job import job
from sinkbench.study.config import read_study
from sinkbench.study.so_far import write_so_far
from snakemake.utils import update_config

SCHEMA = Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"


def show(config: dict, files: list[str]) -> Path:
    """Write and name the report of a merged config's study; `files` are what the config was merged from."""
    study = read_study(config, SCHEMA, files)
    return write_so_far(study, Path("results", study.name))


def merged(files: list[str]) -> dict:
    """The config of these files, later ones over earlier ones, merged as Snakemake does it."""
    config: dict = {}
    for file in files:
        update_config(config, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    return config


if __name__ == "__main__":
    if "snakemake" in globals():
        with job(snakemake.log[0]):
            show(snakemake.config, snakemake.params.files)
    else:
        named = ["config.yaml", *sys.argv[1:]]
        try:
            print(show(merged(named), named))
        except (UserError, OSError) as error:
            sys.exit(f"error: {error}")
