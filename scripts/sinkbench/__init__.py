"""sinkbench: cache policies, exact evaluation and decode engines for GPT-NeoX over long streams.

The library knows nothing of Snakemake. Scripts beside it turn one job of the workflow into one call.
"""
