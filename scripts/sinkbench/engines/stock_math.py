"""transformers with torch's unfused attention kernel and no other."""

from torch.nn.attention import SDPBackend

from sinkbench.engines import stock

CACHES = ("growing",)


class Engine(stock.Engine):
    """See stock."""

    kernel = SDPBackend.MATH
