"""sinkbench: cache policies, exact evaluation and decode engines for language models over long streams.

The library knows nothing of Snakemake. Scripts beside it turn one job of the workflow into one call.
Outside of the study, `sinkbench.StreamingCache` is a cache for `model.generate` of transformers.
"""

import logging
from importlib import import_module

# Offered outside of the study. Named as text and imported when asked for: planning imports no torch, and no
# job's code (artifacts.fingerprint) holds what only others use.
OFFERED = {"StreamingCache": "sinkbench.attention.streaming_cache"}

# Said at every import, of parts that nothing here uses: kernels for other devices, enumerations.
for talkative in ("torchao", "torch.utils._pytree"):
    logging.getLogger(talkative).setLevel(logging.ERROR)


def __getattr__(name: str):
    if name not in OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(OFFERED[name]), name)
