"""The claim about FP8 and quantized caches, which no part of a study measures yet."""

from sinkbench.analysis.select import NotMeasured

CLAIM = "FP8 and a quantized cache do not suit the card or its kernels"
THRESHOLD = ""
TECHNIQUE = "FP8"


def findings(measurements):
    """Nothing was measured."""
    raise NotMeasured
