"""The whole ladder of engines in one process and one table: every rung beside its floor.

    python benchmarks/ladder.py                                                # a CUDA GPU, random weights
    python benchmarks/ladder.py --study demo --engines hf,eager,paper   # any machine
    python benchmarks/ladder.py --positions 2048 --budgets 2048 --steps 32 --repetitions 3 --check-tokens 32

Times runs of a study (workflow/studies), chosen by engine, budget, quantization and batch, with the study's
own clock, with drafts and without. Runs of one number format share a model and take their repetitions in
turn, so that what drifts meanwhile meets them all. `paper` is the formulation of StreamingLLM's authors
(rotate all keys, concatenate), re-implemented; its prompt is read token by token beyond the budget, so that
on a GPU it wants `--positions` no larger than that. A run that cannot be made costs one line that says why;
its row keeps it. What was measured stays in `--results`, a file for each run.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pandas as pd
import yaml
from library import ROOT, check_device  # puts the library on the path
from rungs import Rung, climb
from sinkbench.analysis.select import RUN, matching, without_drafts
from sinkbench.artifacts.parquet import read_table
from sinkbench.errors import UserError, shown
from sinkbench.report.formats import md
from sinkbench.report.tables import ladder, speculation
from sinkbench.results.aggregate import aggregate
from sinkbench.results.datasheet import datasheet_bandwidth
from sinkbench.results.schema import has_failed
from sinkbench.study.config import read_study
from sinkbench.study.preflight import check
from sinkbench.study.study import Study
from sinkbench.text.tokens import tokenize
from snakemake.utils import update_config

WORKFLOW = ROOT / "workflow"
SPEED = ("warmup", "steps", "repetitions", "check_tokens")  # keys of the config's speed


def main() -> None:
    options = parse()
    try:
        study = the_study(options)
        check_device(study.config["device"])
        check(study, fetches=False)
        frame = measured(study, chosen(study, options), options.results)
    except UserError as error:
        sys.exit(f"error: {error}")
    for title, table in tables_of(frame).items():
        print(f"\n{md.render(table, title, '').strip()}")
    print(f"\n{about_the_device(frame)}")


def parse() -> argparse.Namespace:
    def words(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    studies = "overlays: words of workflow/studies, or files (default: latency)"
    parser.add_argument("--study", nargs="+", default=["latency"], help=studies)
    parser.add_argument("--engines", type=words, help="words, separated by commas (default: all)")
    parser.add_argument("--budgets", type=numbers, help="numbers; caches without one stay (default: all)")
    parser.add_argument("--quantizations", type=words, help="words, separated by commas (default: all)")
    parser.add_argument("--batches", type=numbers, help="numbers, separated by commas (default: all)")
    parser.add_argument("--positions", type=numbers, help="stream positions and contexts, for all runs")
    for option in SPEED:
        parser.add_argument(f"--{option.replace('_', '-')}", type=int, help="default: the study's")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the study's")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: the study's")
    parser.add_argument("--model", help="a folder (default: the study's, which may have random weights)")
    folder = ROOT / "results/benchmarks/ladder"
    parser.add_argument("--results", type=Path, default=folder, help="folder of what was measured")
    return parser.parse_args()


def the_study(options: argparse.Namespace) -> Study:
    """The study of the overlays, with what the command line changes."""
    files = [ROOT / "config.yaml", *map(overlay, options.study)]
    config = {}
    for file in files:
        update_config(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    given = {key: value for key, value in vars(options).items() if value is not None}
    config["measure"] = ["speed"]
    config["speed"] |= {key: given[key] for key in SPEED if key in given}
    config["device"] = given.get("device", config["device"])
    config["model"] |= {key: given[key] for key in ("dtype",) if key in given}
    if options.model:
        config["model"] |= {"source": "folder", "path": options.model}
    if options.positions:
        config["speed"] |= {"positions": options.positions, "contexts": options.positions}
        for entry in config["runs"]:
            entry.pop("positions", None)
    return read_study(config, WORKFLOW / "schemas/config.schema.yaml", [str(file) for file in files])


def overlay(word: str) -> Path:
    """The file that `--study` names."""
    path = Path(word) if word.endswith(".yaml") else WORKFLOW / f"studies/{word}.yaml"
    if not path.is_file():
        raise UserError(f"--study: no file {path}")
    return path


def chosen(study: Study, options: argparse.Namespace) -> list[str]:
    """Names of the runs to time, those of one number format together."""
    of_a_run = {
        "engines": lambda run: run.engine,
        "budgets": lambda run: run.method.options.get("budget"),
        "quantizations": lambda run: run.method.quantization,
        "batches": lambda run: run.batch,
    }
    names = list(study.runs)
    for key, value in of_a_run.items():
        if (wanted := getattr(options, key)) is not None:
            known = {value(study.runs[name]) for name in names} - {None}
            names = [name for name in names if value(study.runs[name]) in (*wanted, None)]
            if not known & {*wanted}:
                raise UserError(f"--{key}: {shown(wanted)} is none of {', '.join(map(str, sorted(known)))}")
    return sorted(names, key=format_of(study))


def format_of(study: Study) -> Callable[[str], tuple]:
    """What tells the models of runs apart, the plain one first."""

    def key(name: str) -> tuple:
        method = study.runs[name].method
        return method.dtype or "", method.quantization != "none", method.quantization

    return key


def measured(study: Study, names: list[str], folder: Path) -> pd.DataFrame:
    """The measurements of the runs `names`; each model is made once.

    The plan is made before anything is timed: code that is edited meanwhile would change its stamps.
    """
    settings = {name: study.timing_settings(name) for name in names}
    plan = plan_of(study, names)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder / "tokens.parquet"
    tokenize(study.tokens_settings(study.config["speed"]["corpus"]), tokens, folder / "tokens.json")
    for _, group in groupby(names, format_of(study)):
        climb([Rung(name, settings[name], tokens, folder) for name in group])
    paths = [folder / f"{name}.parquet" for name in plan["stamps"]["speed"]]
    outputs = (folder / name for name in ("measurements.parquet", "measurements.csv", "environment.json"))
    aggregate(plan, {"speed": paths}, WORKFLOW / "schemas/measurements.schema.yaml", *outputs)
    return read_table(folder / "measurements.parquet")[0]


def plan_of(study: Study, names: list[str]) -> dict:
    """The study's plan of these runs alone."""
    plan = study.plan()
    del plan["self_checks"]
    plan["runs"] = {name: about for name, about in plan["runs"].items() if name in names}
    plan["stamps"]["speed"] = {name: plan["stamps"]["speed"][name] for name in plan["runs"]}
    return plan


def tables_of(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The study's tables of these runs, by title: of those without drafts, and of those with."""
    plain, drafting = without_drafts(frame), frame["draft_tokens"].notna().any()
    shown = {} if plain.empty else {ladder.TITLE: at_every_point(plain)}
    return shown | ({speculation.TITLE: speculation.build(frame, {})} if drafting else {})


def at_every_point(frame: pd.DataFrame) -> pd.DataFrame:
    """The study's table for each timed point in turn; runs without a time come last."""
    tables = []
    for point in sorted(frame["position"].dropna().unique()):
        here = matching(frame, position=point)
        own = frame.merge(here[RUN].drop_duplicates(), on=RUN)
        tables.append(ladder.build(own[own["position"].isna() | (own["position"] == point)], {}))
    if has_failed(frame).any():
        tables.append(ladder.build(frame[has_failed(frame)], {}))
    return pd.concat(tables, ignore_index=True).fillna("")


def about_the_device(frame: pd.DataFrame) -> str:
    """What the floors are made of."""
    device = ", ".join(frame["device"].unique())
    speeds = {way: matching(frame, metric=f"bandwidth_{way}")["value"].median() for way in ("read", "copy")}
    speeds["datasheet"] = datasheet_bandwidth(device)
    known = [f"{what} {speed / 1e12:.3f}" for what, speed in speeds.items() if pd.notna(speed)]
    return (
        f"Measured on {device}; bandwidth [TB/s]: {', '.join(known) or 'not measured'}. `paper` is our "
        "re-implementation of the authors' formulation."
    )


if __name__ == "__main__":
    main()
