"""Claims of the brief that no file of `claims` judges yet; a file with the same word takes its place."""

from sinkbench.claims import NOT_MEASURED, Verdict, available

# Beside each: what the brief says. It gives no number for any of them.
CLAIMS = {
    "attention_limited": "Attention and cache are no longer the bottleneck, so improving them gains little",
    "int8_slow": "Int8 weights slow single-token decoding substantially",
    "int8_nan": "Int8 weight-only quantization makes perplexity NaN",
    "int4_blocked": "Int4 weight-only quantization cannot run for want of a kernel package",
    "mlp_only": "Quantizing only the MLP helps where quantizing the whole model fails",
    "refresh": "RefreshLite stabilises the perplexity of smaller windows",
}
THRESHOLD = "none given"


def unjudged() -> list[Verdict]:
    """A verdict "not measured" for every claim without a file."""
    judged = available()
    return [
        Verdict(claim, THRESHOLD, "", NOT_MEASURED) for word, claim in CLAIMS.items() if word not in judged
    ]
