"""transformers as its documentation advises: StaticCache, and a forward pass compiled with CUDA graphs.

A prompt is read as `hf` reads it, uncompiled, into the static cache. On a CPU torch compiles the same step
without graphs.
"""

import torch
from torch import Tensor
from transformers import StaticCache

from sinkbench.engines import hf
from sinkbench.model.families import shape_of
from sinkbench.model.hf_attention import STOCK, stock_hidden, use_attention
from sinkbench.model.nll import logits
from sinkbench.runtime.compile_cost import CompileCost
from sinkbench.runtime.torch_compile import REDUCE_OVERHEAD, compiled


class Engine(hf.Engine):
    """Dense decoding of batch 1 over a cache with room for the prompt and the tokens asked for, and no more.

    A static cache attends to all that it has room for. The step of one room is compiled once a process.
    """

    def __init__(self, model, policy, evaluator):
        super().__init__(model, policy, evaluator)
        self.compilation = CompileCost(model.device)
        self.reset()

    @torch.inference_mode()
    def prefill(self, prompts: Tensor, max_new_tokens: int) -> Tensor:
        self.reset()  # two caches might not fit
        self.capacity, self.room = prompts.shape[1] + max_new_tokens, max_new_tokens
        self.cache = static_cache(self.model, self.capacity)
        return self.read(prompts)

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """As the interface says; ValueError where the cache is full: it would write past its end."""
        if self.room < 1:
            raise ValueError(f"the static cache is full: it has room for {self.capacity} tokens")
        self.room -= 1
        use_attention(self.model, STOCK)
        torch.compiler.cudagraph_mark_step_begin()  # the last step's logits may be overwritten
        with self.compilation.watched():
            return compiled(read_token, REDUCE_OVERHEAD)(self.model, tokens[:, None], self.cache)

    def reset(self) -> None:
        self.cache, self.capacity, self.room = None, 0, 0


def static_cache(model, room: int) -> StaticCache:
    """An empty cache of batch 1 for `room` tokens."""
    shape, cache = shape_of(model), StaticCache(config=model.config, max_cache_len=room)
    cache.early_initialization(1, shape.kv_heads, shape.head_dim, model.dtype, model.device)
    for layer in cache.layers:
        for tensor in (layer.keys, layer.values, layer.cumulative_length):
            # transformers marks them so that torch compiles anew for every cache; another cache of the same
            # room then only records a new graph.
            torch._dynamo.mark_static_address(tensor, guard=False)
    return cache


def read_token(model, ids: Tensor, cache: StaticCache) -> Tensor:
    """Read ids [1, 1]; float32 logits [1, vocabulary]."""
    return logits(model, stock_hidden(model, ids, cache)[:, -1])
