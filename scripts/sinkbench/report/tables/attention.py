"""Attention kernels under streaming, on the ring and in the formulation of the paper: one row per run."""

import pandas as pd

from sinkbench.analysis.ablations import attention_runs, cell
from sinkbench.analysis.estimate import Estimate, estimate, ratio, without_empty_columns
from sinkbench.analysis.select import RUN, at_common_point, matching, status_warnings, usable

TITLE = "Attention kernels: time and distance to the exact evaluator"
CATEGORY = "ablations"
CAPTION_FIELDS = ("confidence", "repetitions", "steps", "device", "dagger")
CAPTION = (
    "Streaming on {device} with one attention kernel at a time. eager is the ring: only the new key and the "
    "sinks are rotated, with the kernel that torch chooses or the one that the name ends in. paper rotates "
    "every key at every step and concatenates the cache, with plain products or the named kernel. fused are "
    "our own kernels. TPOT, the time per output token, is the median of {repetitions} repetitions of "
    "{steps} steps. Speed is the TPOT of eager over the run's at an equal point. NLL gap is the mean and "
    "largest difference to the exact evaluator. A footnote says in torch's words why a kernel cannot run "
    "here. Brackets are {confidence} % intervals; those of a speed join the far ends of both times. "
    "{dagger}"
)
YARDSTICK = "eager"


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A run without a time has its status instead."""
    shown = attention_runs(measurements)
    valid = usable(measurements)
    times = at_common_point(matching(usable(shown), metric="tpot_ms"))
    rows = [_row(measurements, valid, times, run) for run in shown.drop_duplicates(RUN).to_dict("records")]
    return without_empty_columns(pd.DataFrame(rows))


def _row(measurements: pd.DataFrame, valid: pd.DataFrame, times: pd.DataFrame, run: dict) -> dict:
    key = {name: run[name] for name in RUN}
    position = next(iter(matching(times, **key)["position"]), None)
    own = matching(valid, **key)
    return {
        "Method": run["method"],
        "Engine": run["engine"],
        "TPOT [ms]": cell(matching(own, position=position), "tpot_ms", ".3f"),
        "Speed [x eager]": _speed(valid, run, position),
        "NLL gap [nats]": cell(own, "nll_gap", ".1e"),
        "Largest NLL gap [nats]": cell(own, "nll_gap_max", ".1e"),
        "Status": "; ".join(status_warnings(matching(measurements, **key), position)),
    }


def _speed(valid: pd.DataFrame, run: dict, position: int | None) -> Estimate | str:
    same = matching(valid, metric="tpot_ms", method=run["method"], batch=run["batch"], position=position)
    own, base = (matching(same, engine=word).to_dict("records") for word in (run["engine"], YARDSTICK))
    return ratio(estimate(base[0]), estimate(own[0])) if own and base else ""
