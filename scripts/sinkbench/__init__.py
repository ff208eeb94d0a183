"""sinkbench: cache policies, exact evaluation and decode engines for GPT-NeoX over long streams.

The library knows nothing of Snakemake. Scripts beside it turn one job of the workflow into one call.
"""

import logging

# Said at every import, of parts that nothing here uses: kernels for other devices, enumerations.
for talkative in ("torchao", "torch.utils._pytree"):
    logging.getLogger(talkative).setLevel(logging.ERROR)
