"""Measurements of recall: what a passage saves its own repetition, by the distance between the two."""

import pandas as pd

from sinkbench.results.provenance import provenance
from sinkbench.results.quality_rows import describe
from sinkbench.results.schema import RowRecorder
from sinkbench.results.statistics import Bootstrap

LENGTHS = ("context_tokens", "passage_tokens", "trained_tokens")  # of the notes, each a metric recall_*


def record_recall(recorder: RowRecorder, bootstrap: Bootstrap, plan: dict, results: dict) -> None:
    """Add the rows of all recall jobs.

    Args:
        plan: study.Study.plan().
        results: (mean NLLs by distance and passage, notes) by method.
    """
    for method, (passages, notes) in results.items():
        corpus = plan["recalled_on"]
        about = describe(plan, method) | {"corpus": corpus} | provenance(plan, notes, corpus)
        if notes["status"] != "ok":
            recorder.add({**about, "status": notes["status"]}, "recall_saved", None)
            continue
        for name in LENGTHS:
            recorder.add(about, f"recall_{name}", notes[name])
        for distance, part in passages.groupby("distance"):
            here = {**about, "position_kind": "distance", "position": int(distance)}
            _record(recorder, bootstrap, here, part)
        for distance, reason in notes["missing"]:
            here = {**about, "position_kind": "distance", "position": distance}
            recorder.add({**here, "status": f"unavailable: {reason}"}, "recall_saved", None)


def _record(recorder: RowRecorder, bootstrap: Bootstrap, here: dict, passages: pd.DataFrame) -> None:
    """Means over the passages of one distance; intervals resample passages."""
    each = {
        "recall_saved": passages["control_nll"] - passages["nll"],
        "recall_control": passages["control_nll"],
    }
    for metric, nats in each.items():
        pieces = pd.DataFrame({"document": passages["document"], "position": range(len(passages))})
        pieces = pieces.assign(total=nats.astype(float), tokens=1)
        recorder.add(here, metric, *bootstrap.mean_of_pieces(pieces, block_tokens=1), n=len(passages))
