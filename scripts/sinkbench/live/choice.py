"""Which run writes: the one that a finished study recommends, or one of its runs by name."""

from pathlib import Path

from sinkbench.analysis.recommend import fastest_within
from sinkbench.analysis.select import NotMeasured, corpora, run_name
from sinkbench.artifacts.hub import CONVERTED, local_folder, record_path
from sinkbench.artifacts.parquet import read_table
from sinkbench.errors import UserError, check_name, shown
from sinkbench.study.preflight import check
from sinkbench.study.study import Study

MEASUREMENTS = "measurements.parquet"
STUDIES = Path("workflow/studies")
FETCHED = ("hub", *CONVERTED)


def config_files(results: Path | None) -> list[str]:
    """Overlays of the study that made a folder of results: the one of its name; none without a folder.

    Raises:
        UserError: there is no such folder, or no study of its name.
    """
    if results is None:
        return []
    if not results.is_dir():
        raise UserError(f"{results}: no such folder of results")
    overlay = STUDIES / f"{results.resolve().name}.yaml"
    if not overlay.is_file():
        raise UserError(f"{results}: no {overlay}; name the files of its study behind --configfile")
    return [str(overlay)]


def recommended(results: Path, within_percent: float) -> str:
    """Name of the fastest run whose perplexity is at most so much above that of streaming at full budget.

    Of several corpora the first counts. A study without perplexities recommends its fastest run.

    Raises:
        UserError: the study is not finished, or recommends nothing.
    """
    path = results / MEASUREMENTS
    if not path.is_file():
        raise UserError(f"{results}: no {MEASUREMENTS} there; the study is not finished")
    measurements, _ = read_table(path)
    try:
        row = fastest_within(measurements, next(iter(corpora(measurements)), None), within_percent)
    except NotMeasured:
        raise UserError(
            f"{results}: the study recommends no run, since times or perplexities lack; name a run with --run"
        ) from None
    if row is None:
        raise UserError(
            f"{results}: no timed run has a perplexity within {within_percent:g} %; "
            "allow more with --within, or name a run with --run"
        )
    return run_name(row)


def settings_of(study: Study, run: str, where: str = "--run") -> dict:
    """Settings of a run (Study.timing_settings), for one text without drafts.

    Args:
        where: the run was named.

    Raises:
        UserError: the study has no such run, or its model is not on this machine.
    """
    check_name(run, study.runs, f"{where}: a run of study {study.name}")
    if study.runs[run].drafts or study.runs[run].batch > 1:
        raise UserError(
            f"--run: {shown(run)} drafts, or decodes several texts; here one text is written alone"
        )
    if study.model["source"] == "random":
        raise UserError(f"study {study.name}: a model of random weights writes no text")
    for key, source in (("model", study.model), ("tokenizer", study.tokenizer)):
        if source["source"] in FETCHED and not record_path(source).is_file():
            raise UserError(
                f"{key}: {local_folder(source)} is not there; "
                "run `snakemake --cores 1 fetch` with the study's files"
            )
    check(study, fetches=False, tokenizes=False)
    return study.timing_settings(run)


def start_token(study: Study) -> str | None:
    """The token that texts of the study begin with: a model learns to use its sinks there."""
    return study.corpora[study.config["speed"]["corpus"]].get("start_token")
