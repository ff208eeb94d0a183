"""One row per timed run, all at one point: from stock transformers to what the memory allows."""

from functools import partial

import pandas as pd

from sinkbench.analysis.dense_baselines import Baseline, dense_baselines
from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.select import RUN, at_common_point, matching, status_warnings, usable, without_drafts

TITLE = "The ladder of engines: every run beside its floor"
CATEGORY = "engine"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "dagger")
CAPTION = (
    "Every timed run without drafts, at the point where most runs of its policy were timed. GPU is the "
    "median step by events on the device, on a CPU by wall time. TPOT, the time per output token, is "
    "the median of {repetitions} repetitions of {steps} steps. A batch decodes that many streams in step, "
    "and tokens/s counts them all. Floor is the bytes that a step must read, over the bandwidth measured "
    "beside the timing: weights once, keys and values of every stream. MBU is floor over TPOT, and once "
    "more against the bandwidth of the device's datasheet. A static growing cache reads up to 1,023 slots "
    "more than are counted. Speed-ups are over dense attention: the fastest run of transformers, then the "
    "fastest on any engine, then transformers as it comes. NLL gap is the mean and largest difference to the "
    "exact evaluator, in the model's dtype and in float32. Against float32 stand the share of equal top "
    "tokens and the mean Kullback-Leibler divergence. Brackets are {confidence} % intervals over "
    "repetitions. {dagger} The footnote says what."
)
# heading, metric, format, scale
AT_POINT = (
    ("GPU [ms]", "step_p50_ms", ".3f", 1),
    ("TPOT [ms]", "tpot_ms", ".3f", 1),
    ("Tokens/s", "tokens_per_s", ",.0f", 1),
    ("Floor [ms]", "floor_ms", ".3f", 1),
    ("MBU [%]", "mbu", ".1f", 100),
    ("MBU, datasheet [%]", "mbu_datasheet", ".1f", 100),
)
OF_RUN = (
    ("NLL gap [nats]", "nll_gap", ".1e", 1),
    ("Largest NLL gap [nats]", "nll_gap_max", ".1e", 1),
    ("NLL gap to float32 [nats]", "nll_gap_float32", ".1e", 1),
    ("Largest, to float32 [nats]", "nll_gap_float32_max", ".1e", 1),
    ("Same top token [%]", "top_token_agreement", ".1f", 100),
    ("KL to float32 [nats]", "kl_divergence", ".1e", 1),
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A run without a time has its status instead; the order is the study's."""
    measurements = without_drafts(measurements)
    timed, valid = measurements[measurements["engine"].notna()], usable(measurements)
    times = at_common_point(matching(valid, metric="tpot_ms"))
    row = partial(_row, measurements, valid, times, dense_baselines(valid))
    return without_empty_columns(pd.DataFrame(map(row, timed.drop_duplicates(RUN).to_dict("records"))))


def _row(
    measurements: pd.DataFrame,
    valid: pd.DataFrame,
    times: pd.DataFrame,
    baselines: list[Baseline],
    run: dict,
) -> dict:
    key = {name: run[name] for name in RUN}
    time = next(iter(matching(times, **key).to_dict("records")), None)
    position = time["position"] if time else None
    own = matching(valid, **key)
    at_point = matching(own, position=position)
    return {
        "Method": run["method"],
        "Engine": run["engine"],
        "Batch": Estimate(run["batch"], spec="d"),
        "Weights": run["dtype"] if run["quantization"] == "none" else run["quantization"],
        **{heading: _cell(at_point, *how) for heading, *how in AT_POINT},
        **{base.heading: base.speedup(valid, time) if time else "" for base in baselines},
        **{heading: _cell(own, *how) for heading, *how in OF_RUN},
        "Status": _status(measurements, key, position),
    }


def _status(measurements: pd.DataFrame, key: dict, position: int | None) -> str:
    """What is to be said against the run, and against its method's perplexity."""
    quality = matching(measurements[measurements["engine"].isna()], method=key["method"])
    return "; ".join(
        [*status_warnings(quality, None), *status_warnings(matching(measurements, **key), position)]
    )


def _cell(rows: pd.DataFrame, metric: str, spec: str, scale: float) -> Estimate | str:
    """The number of the metric's row, with the point of a time."""
    rows = matching(rows, metric=metric)
    if rows.empty:
        return ""
    row = rows.iloc[0]
    note = f"at {row['position_kind']} {row['position']:,}" if metric == "tpot_ms" else ""
    return estimate(row, spec, scale, note)
