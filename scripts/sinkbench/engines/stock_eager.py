"""transformers with its own "eager" attention: matrix products and a softmax."""

from sinkbench.engines import stock

CACHES = ("growing",)


class Engine(stock.Engine):
    """See stock."""

    attention = "eager"
