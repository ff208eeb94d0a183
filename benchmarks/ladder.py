"""The whole ladder of engines in one process and one table: every rung beside its floor.

    python benchmarks/ladder.py                                                # a CUDA GPU, random weights
    python benchmarks/ladder.py --study demo --engines stock,eager,reference   # any machine

Times the runs of a study (workflow/studies), chosen by engine, quantization and batch, with the study's own
loop. `reference` is the formulation of StreamingLLM's authors (rotate all keys, concatenate), re-implemented.
A run that cannot be made costs one line that says why; its row keeps it.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import yaml
from snakemake.utils import update_config

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from sinkbench import quantizations  # noqa: E402
from sinkbench.aggregation import aggregate  # noqa: E402
from sinkbench.configuration import read_study  # noqa: E402
from sinkbench.formats import md  # noqa: E402
from sinkbench.models import load_model  # noqa: E402
from sinkbench.speed import measure_speed  # noqa: E402
from sinkbench.store import read_table  # noqa: E402
from sinkbench.study import Study  # noqa: E402
from sinkbench.tables import ladder  # noqa: E402
from sinkbench.tokens import tokenize  # noqa: E402

WORKFLOW = ROOT / "workflow"


def main() -> None:
    options = parse()
    study = the_study(options)
    runs = chosen(study, options)
    with TemporaryDirectory() as folder:
        frame = measured(study, runs, Path(folder))
    table = ladder.build(frame, {})
    shown = md.render(table, ladder.TITLE, "").strip()
    print(f"\n{shown}\n\nMeasured on {', '.join(frame['device'].unique())}.")


def parse() -> argparse.Namespace:
    def words(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", default="latency", help="an overlay in workflow/studies")
    parser.add_argument("--engines", type=words, help="words, separated by commas (default: all)")
    parser.add_argument("--quantizations", type=words, help="words, separated by commas (default: all)")
    parser.add_argument("--batches", type=numbers, help="numbers, separated by commas (default: all)")
    parser.add_argument("--positions", type=numbers, help="stream positions and contexts, for all runs")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repetitions", type=int)
    return parser.parse_args()


def the_study(options: argparse.Namespace) -> Study:
    """The study of the overlay, with what the command line changes."""
    files = [ROOT / "config.yaml", WORKFLOW / f"studies/{options.study}.yaml"]
    config = {}
    for file in files:
        update_config(config, yaml.safe_load(file.read_text()))
    config["speed"] |= {
        key: value for key in ("steps", "repetitions") if (value := getattr(options, key)) is not None
    }
    if options.positions:
        config["speed"] |= {"positions": options.positions, "contexts": options.positions}
        for entry in config["runs"]:
            entry.pop("positions", None)
    return read_study(config, WORKFLOW / "schemas/config.schema.yaml", [str(file) for file in files])


def chosen(study: Study, options: argparse.Namespace) -> list[str]:
    """Names of the runs to time, those of one number format together."""
    wanted = {
        "engines": lambda run: run.engine,
        "quantizations": lambda run: run.method.quantization,
        "batches": lambda run: run.batch,
    }
    names = [
        name
        for name, run in study.runs.items()
        if all(not getattr(options, key) or of(run) in getattr(options, key) for key, of in wanted.items())
    ]
    return sorted(names, key=format_of(study))


def format_of(study: Study) -> Callable[[str], tuple]:
    """What tells the models of runs apart, the plain one first."""

    def key(name: str) -> tuple:
        method = study.runs[name].method
        return method.dtype or "", method.quantization != "none", method.quantization

    return key


def measured(study: Study, runs: list[str], folder: Path) -> pd.DataFrame:
    """The measurements of `runs`; each model is made once."""
    tokens = folder / "tokens.parquet"
    tokenize(study.tokens_settings(study.config["speed"]["corpus"]), tokens, folder / "tokens.json")
    for _, group in groupby(runs, format_of(study)):
        model = None
        for name in group:
            settings = study.speed_settings(name)
            if model is None:
                model = load_model(settings["model"], settings["device"])
                model = quantizations.apply(settings["quantization"], model)
            measure_speed(settings, tokens, folder / f"{name}.parquet", model)
    plan = study.plan()
    plan["runs"] = {name: plan["runs"][name] for name in study.runs if name in runs}
    speed = {name: plan["stamps"]["speed"][name] for name in plan["runs"]}
    plan["stamps"] = {"quality": {}, "speed": speed, "profile": {}}
    paths = [folder / f"{name}.parquet" for name in speed]
    outputs = folder / "measurements.parquet", folder / "measurements.csv"
    aggregate(plan, [], paths, [], WORKFLOW / "schemas/measurements.schema.yaml", *outputs)
    return read_table(outputs[0])[0]


if __name__ == "__main__":
    main()
