"""The ring cache inside transformers, with torch's memory-efficient attention kernel and no other."""

from torch.nn.attention import SDPBackend

from sinkbench.engines import eager

CACHES = ("ring", "growing")


class Engine(eager.Engine):
    """See eager."""

    kernel = SDPBackend.EFFICIENT_ATTENTION
