"""What a passage saves its own repetition: one row per method and distance."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, without_empty_columns
from sinkbench.analysis.recall import recalled
from sinkbench.analysis.select import NotMeasured, matching, or_blank
from sinkbench.results.schema import has_failed

TITLE = "Recall: what a passage saves its own repetition"
CATEGORY = "streaming"
CAPTION_FIELDS = ("confidence", "passage_tokens")
CAPTION = (
    "A passage of {passage_tokens} tokens occurs again so many tokens later (distance) in real text. Saved "
    "is the mean NLL a token of its repetition in a control, whose first occurrence is other text, less that "
    "with it. Control is the NLL in the control. The window is what a query sees beside the sinks; dense "
    "attention sees all. In part: only tokens that come later than the one to be repeated are seen. "
    "Untrained: the text is longer than those of training. A refreshed cache also looks back further, up to "
    "the h tokens of its name. Brackets are {confidence} % intervals over passages. A footnote says why a "
    "distance is missing."
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. A method or distance without a number has its status instead."""
    rows = matching(measurements, metric="recall_saved")
    try:
        numbers = recalled(measurements).to_dict("records")
    except NotMeasured:
        numbers = []
    controls = _by_place(matching(measurements, metric="recall_control"))
    table = {_place(row): _row(row, controls) for row in numbers}
    table |= {
        _place(row): _named(row) | {"Status": row["status"]} for row in _records(rows[has_failed(rows)])
    }
    order = [_place(row) for row in _records(rows.sort_values("position", kind="stable"))]
    methods = list(rows["method"].unique())
    order.sort(key=lambda place: methods.index(place[0]))
    return without_empty_columns(pd.DataFrame([table[place] for place in order if place in table]).fillna(""))


def _row(row: dict, controls: dict) -> dict:
    untrained = pd.isna(row["window"]) and not row["is_trained"]
    control = controls.get(_place(row))
    return _named(row) | {
        "Inside the window": "yes, untrained" if untrained else row["seen"],
        "Saved [nats]": estimate(row, "z.3f"),
        "Control [nats]": estimate(control, "z.2f") if control else "",
        "Passages": Estimate(int(row["n"]), spec=",d"),
    }


def _named(row: dict) -> dict:
    distance = row["position"]
    return {
        "Method": row["method"],
        "Distance [tokens]": "" if pd.isna(distance) else Estimate(int(distance), spec=",d"),
    }


def _records(rows: pd.DataFrame) -> list[dict]:
    return rows.to_dict("records")


def _by_place(rows: pd.DataFrame) -> dict[tuple, dict]:
    return {_place(row): row for row in _records(rows)}


def _place(row: dict) -> tuple[str, str]:
    """Method and distance, which is blank where the whole job failed."""
    return row["method"], or_blank(row["position"])
