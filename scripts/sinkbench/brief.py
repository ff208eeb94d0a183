"""The brief: what was reported of these techniques before this study, and is put to the test here.

Its claims that no file of `claims` judges yet; a file with the same word takes its place.
"""

from sinkbench.claims import NOT_MEASURED, Verdict, available

# By word: the technique, and what the brief says of it. It gives no number for any of them.
CLAIMS = {
    "fp8": ("FP8", "FP8 and a quantized cache do not suit the card or its kernels"),
}
THRESHOLD = "none given"


def unjudged() -> list[Verdict]:
    """A verdict "not measured" for every claim without a file."""
    judged = available()
    return [
        Verdict(claim, THRESHOLD, "", NOT_MEASURED, technique)
        for word, (technique, claim) in CLAIMS.items()
        if word not in judged
    ]
