"""Measurements of where attention goes: shares of the first tokens by layer, over the heads."""

import pandas as pd

from sinkbench.results.provenance import provenance
from sinkbench.results.quality_rows import describe
from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap

OVER_HEADS = {"sink_share_min": "min", "sink_share_median": "median", "sink_share_max": "max"}


def record_sinks(recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of the job on sinks; its numbers are means of many queries, without intervals.

    Args:
        plan: study.Study.plan().
        results: (share by layer, head and first tokens, notes) by method.
    """
    for method, (shares, notes) in results.items():
        corpus = plan["observed_on"]
        about = describe(plan, method) | {"corpus": corpus} | provenance(plan, notes, corpus)
        if notes["status"] != "ok":
            recorder.add({**about, "status": notes["status"]}, "sink_share_median", None)
            continue
        recorder.add(about, "sink_text_tokens", notes["text_tokens"], n=notes["documents"])
        _record(recorder, about, shares)


def _record(recorder: RowRecorder, about: dict, shares: pd.DataFrame) -> None:
    for (layer, first), heads in shares.groupby(["layer", "first"])["share"]:
        here = {**about, "layer": int(layer), "position_kind": "first", "position": int(first)}
        for metric, statistic in OVER_HEADS.items():
            recorder.add(here, metric, heads.agg(statistic), n=len(heads))
