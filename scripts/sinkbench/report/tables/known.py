"""Published figures beside what this study measured, a verdict each."""

import pandas as pd

from sinkbench.analysis.estimate import Estimate
from sinkbench.analysis.known import Answer, answer, in_unit, verdict

TITLE = "Known answers: figures that others published"
CATEGORY = "findings"
CAPTION_FIELDS = ("published", "model_name", "confidence", "block_tokens")
CAPTION = (
    "Each published figure beside this study's own. Figures are perplexities, exp(mean NLL in nats), or "
    "mean NLLs in nats where so noted. Tokens are those that are predicted, counted from 0 at the "
    "beginning of a document: 1 to 1,024 are its first 1,024 predictions. The difference is this study's "
    "number less the figure. Difference and tolerance are relative for a perplexity, and in nats for an "
    "NLL. A row agrees if its difference is at most the tolerance. A figure of another model, text or "
    "method is not measured here, and a footnote says why. The same text has the same number of "
    "predictions, to 1 %. Brackets are {confidence} % intervals over blocks of {block_tokens} tokens, "
    "which decide nothing here. The source says what of a figure could not be confirmed."
)


def build(measurements: pd.DataFrame, fields: dict) -> pd.DataFrame:
    """See CAPTION. Figures of the study's own model come first."""
    model = fields["model_name"]
    published = sorted(fields["published"], key=lambda row: row["model"] != model)
    return pd.DataFrame([_row(row, answer(row, model, measurements)) for row in published])


def _row(row: dict, found: Answer) -> dict:
    """One figure."""
    note = "nats" if row["measure"] == "nll" else ""
    return {
        "Model": row["model"],
        "Text": "; ".join(filter(None, (row["text"], row.get("settings")))),
        "Method": row["method"],
        "Tokens": f"{row['first']:,} to {row['last']:,}",
        "Published": Estimate(row["value"], spec=".6g", note=note),
        "Ours": found.ours or "",
        "Difference": "" if found.difference is None else in_unit(row, found.difference, "+"),
        "Tolerance": in_unit(row, row["tolerance"]),
        "Verdict": verdict(row, found),
        "Source": row["source"],
        "Status": found.reason,
    }
