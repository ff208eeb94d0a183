"""The exact evaluator: per-token NLLs of a document under a visibility rule, in parallel form."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from sinkbench.attention.chunked import ChunkStream
from sinkbench.attention.masked_kernels import FlexKernel, MaskedKernel, kernel_for
from sinkbench.attention.refresh_store import RefreshStore
from sinkbench.model.families import shape_of
from sinkbench.model.forward import forward_hidden
from sinkbench.model.hf_attention import stock_hidden
from sinkbench.model.nll import logits, token_nll
from sinkbench.policies import Visibility


class Evaluator:
    """Scores documents with one model.

    Args:
        model: for causal language modelling, in eval mode.
        chunk_tokens: tokens scored per forward pass; memory grows with budget + chunk_tokens.
        progress: called with the number of tokens that each pass has scored.
        judge: gives what every method here returns for a token in the place of its NLL, of last hidden
            states [tokens, hidden] and the ids that follow them [tokens]; None: the NLL.
        kernel: of attention (masked_kernels); None: the fast one of the model's device.
    """

    def __init__(
        self,
        model,
        chunk_tokens: int,
        progress=lambda tokens: None,
        judge: Callable[[Tensor, Tensor], Tensor] | None = None,
        kernel: MaskedKernel | FlexKernel | None = None,
    ):
        self.model, self.chunk_tokens, self.progress = model, chunk_tokens, progress
        self.judge = judge or partial(token_nll, model)
        self.kernel = kernel or kernel_for(model)

    @torch.inference_mode()
    def stream(self, document: Tensor, visibility: Visibility) -> Tensor:
        """Score document ids [T]: NLL of tokens 1 .. T-1 given all before, float32 [T - 1]."""
        return self._nll(ChunkStream(self.model, visibility, self.kernel), document)

    @torch.inference_mode()
    def refreshed(self, document: Tensor, policy) -> Tensor:
        """Score document ids [T] with a cache that `policy` refreshes: NLLs, float32 [T - 1].

        No chunk crosses a refresh (see refresh_store).
        """
        return self._nll(self._refreshed(policy), document)

    @torch.inference_mode()
    def scores(self, document: Tensor, visibility: Visibility) -> Iterator[Tensor]:
        """Logits [tokens, vocabulary] after each token of a document, one chunk after another."""
        for _, hidden in self._read(ChunkStream(self.model, visibility, self.kernel), document):
            yield logits(self.model, hidden)

    @torch.inference_mode()
    def observe(self, document: Tensor, visibility: Visibility, store) -> None:
        """Read document ids [T], and have `store` look on as refreshes' does (chunked.ChunkStream.attend)."""
        for chunk, _ in self._read(ChunkStream(self.model, visibility, MaskedKernel(), store), document):
            self.progress(len(chunk))

    def dense(self, document: Tensor) -> Tensor:
        """Score document ids [T] with plain causal attention: keys of the whole document stay in memory.

        Room for it is made in powers of two, since a compiled kernel is made anew for every size.
        """
        room = 1 << (len(document) - 1).bit_length()
        return self.stream(document, Visibility(sinks=0, recent=room))

    @torch.inference_mode()
    def prefill(self, prompt: Tensor, visibility: Visibility) -> tuple[ChunkStream, Tensor]:
        """Read `prompt` [T]: the stream behind the prompt, and the last hidden state [1, hidden].

        Nothing is read that no layer passes on so far: the time of a long prompt does not grow with it.
        """
        sinks, skipped = visibility.sinks, self._out_of_reach(len(prompt), visibility)
        stream = ChunkStream(self.model, visibility, self.kernel, skipped=skipped)
        read = self._prefill(stream, torch.cat((prompt[:sinks], prompt[sinks + skipped :])))
        stream.position += skipped
        return read

    @torch.inference_mode()
    def prefill_refreshed(self, prompt: Tensor, policy) -> tuple[ChunkStream, Tensor]:
        """Prefill a cache that `policy` refreshes; the next refresh needs the stream's `store`."""
        return self._prefill(self._refreshed(policy), prompt)

    @torch.inference_mode()
    def recompute(self, document: Tensor, positions: list[int], visibility: Visibility) -> Tensor:
        """NLL of the token after each position, float32, from a fresh pass over the visible tokens.

        The pass reads [the first S tokens | the last W + 1] as one short text, at positions 0 .. budget;
        before the budget is full that is the whole prefix, so those NLLs are dense ones. Positions ascend.
        """
        early = [t for t in positions if t < visibility.budget]
        parts = [self.dense(document[: max(early) + 2])[early]] if early else []
        full = torch.tensor(positions[len(early) :], dtype=torch.long, device=document.device)
        for start in range(0, len(full), self._batch(visibility)):
            batch = full[start : start + self._batch(visibility)]
            parts.append(self._fresh(document, batch, visibility))
        return torch.cat(parts)

    def _out_of_reach(self, tokens: int, visibility: Visibility) -> int:
        """Tokens behind the sinks that cannot change what a prompt leaves, in whole periods of pruning.

        A hidden state depends on the sinks and, through each layer, on the tokens that one window reaches.
        The first of those read see too few keys; the error dies out one window a layer, before the cache.
        """
        reach = shape_of(self.model).layers * visibility.longest + 1
        skipped = max(0, tokens - visibility.sinks - reach)
        return skipped - skipped % visibility.every

    def _chunk_size(self, visibility: Visibility) -> int:
        """The first chunk must hold every sink."""
        return max(self.chunk_tokens, visibility.sinks)

    def _refreshed(self, policy) -> ChunkStream:
        """Segments are short and of many lengths, which a kernel of fixed shapes would pad."""
        return ChunkStream(self.model, policy.visibility(0), MaskedKernel(), RefreshStore(self.model, policy))

    def _nll(self, stream: ChunkStream, document: Tensor) -> Tensor:
        parts, targets = [], document[1:]
        for chunk, hidden in self._read(stream, document[:-1]):
            parts.append(self.judge(hidden, targets[: len(chunk)]))
            targets = targets[len(chunk) :]
            self.progress(len(chunk))
        return torch.cat(parts)

    def _prefill(self, stream: ChunkStream, prompt: Tensor) -> tuple[ChunkStream, Tensor]:
        for _, hidden in self._read(stream, prompt):
            last = hidden[-1:]
        return stream, last

    def _read(self, stream: ChunkStream, ids: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids and hidden states [tokens, hidden] of one chunk after another."""
        while len(ids):
            size = stream.tokens_until_refresh(self._chunk_size(stream.visibility))
            chunk, ids = ids[:size], ids[size:]
            yield chunk, self._hidden(stream, chunk)

    def _hidden(self, stream: ChunkStream, inputs: Tensor) -> Tensor:
        """Hidden states [tokens, hidden] of one chunk, padded at its end where the kernel wants it."""
        sinks = stream.visibility.sinks
        full = self._chunk_size(stream.visibility) if stream.kernel.fixed_shapes else sinks
        padding = max(0, full - len(inputs))
        ids = torch.nn.functional.pad(inputs, (0, padding))
        stream.begin(len(inputs), padding)
        hidden = forward_hidden(self.model, ids, stream, stream.kernel.prepare)[: len(inputs)]
        if stream.store is not None:
            stream.store.advance(inputs)
        return hidden

    def _batch(self, visibility: Visibility) -> int:
        return max(1, self.chunk_tokens // (visibility.budget + 1))

    def _fresh(self, document: Tensor, positions: Tensor, visibility: Visibility) -> Tensor:
        """One batch of fresh passes; positions at or past the budget."""
        recent = torch.arange(-visibility.recent, 1, device=document.device)
        sinks = torch.arange(visibility.sinks, device=document.device)
        index = torch.cat((sinks.expand(len(positions), -1), positions[:, None] + recent), dim=1)
        hidden = stock_hidden(self.model, document[index])[:, -1]
        self.progress(len(positions))
        return self.judge(hidden, document[positions + 1])
