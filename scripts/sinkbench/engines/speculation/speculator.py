"""Speculative decoding (Leviathan et al. 2023; Chen et al. 2023) over caches of the streaming kind.

In a round the draft model proposes k tokens one by one. The target reads them as one block of k + 1 queries.
A rule (see `verification`) keeps some drafts and adds a token; both caches take back the rest. Each model has
its own cache, and both have one policy. The host decides nothing within a round, so that a whole round can be
one CUDA graph. The host learns only afterwards how many tokens the round gave.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from sinkbench.engines.speculation.acceptance import Round, settler
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.model.families import shape_of
from sinkbench.runtime.cuda_graph import capture

LEAST_PROMPT = 2  # tokens; see Speculator.prefill


class Speculator:
    """Decodes one stream with a target and a draft model.

    Args:
        target, draft: with room in their blocks for k + 1 tokens.
        draft_tokens: k, tokens drafted in a round.
        rule: of `verification`.
        captured: whether a round is one CUDA graph.

    Attributes:
        pair: the last two ids of the text; the target has read all but the last. The draft model reads both
            at the beginning of a round, since after a round that keeps every draft it has not read the last.
    """

    def __init__(
        self, target: BlockDecoder, draft: BlockDecoder, draft_tokens: int, rule, captured: bool = False
    ):
        self.target, self.draft, self.draft_tokens, self.rule, self.captured = (
            target,
            draft,
            draft_tokens,
            rule,
            captured,
        )
        self.pair = torch.zeros(2, dtype=torch.int64, device=target.model.device)
        self._settle, self._step = settler(target.model.device), None

    @torch.inference_mode()
    def prefill(self, prompt: Tensor, rounds: int) -> Tensor:
        """Read ids [T], T > sinks and at least LEAST_PROMPT, before `rounds` rounds; the next id [1]."""
        room = (rounds + 1) * (self.draft_tokens + 1)
        self.draft.prefill(prompt[:-1], room)
        self.rule.renew()
        first = self.rule.draft(self.target.prefill(prompt, room), 0)
        self.pair.copy_(torch.cat((prompt[-1:], first)))
        if "growing" in (self.target.policy.cache, self.draft.policy.cache):
            self._step = None
        return first

    @torch.inference_mode()
    def round(self) -> Round:
        """Decode 1 to k + 1 tokens."""
        self.rule.renew()
        if self._step is None:
            self._step = self._captured() if self.captured else self._round
        return self._step()

    def reset(self) -> None:
        """Free caches that grow."""
        self._step = None if self.target.policy.cache == "growing" else self._step
        for decoder in (self.target, self.draft):
            decoder.reset()

    def cache_bytes(self) -> int:
        """Bytes of keys and values of both models."""
        return self.target.cache_bytes() + self.draft.cache_bytes()

    def _round(self) -> Round:
        drafts, guesses = self._propose()
        scores = self.target.read(torch.cat((self.pair[1:], drafts)))
        positions = self.target.ring.position, self.draft.ring.position  # the draft's is one behind
        return self._settle(self.rule, drafts, guesses, scores, self.pair, positions)

    def _propose(self) -> tuple[Tensor, Tensor]:
        """The drafts [k], and the logits [k, vocabulary] that they were chosen from."""
        guesses = [self._guess(self.pair)[1:]]
        drafts = [self.rule.draft(guesses[0], 0)]
        for index in range(1, self.draft_tokens):
            guesses.append(self._guess(drafts[-1]))
            drafts.append(self.rule.draft(guesses[-1], index))
        return torch.cat(drafts), torch.cat(guesses)

    def _guess(self, tokens: Tensor) -> Tensor:
        """The draft model's logits over the target's vocabulary, [rows, vocabulary], for ids [rows].

        The two vocabularies may be padded to different sizes. Any guess leaves the output as it is.
        """
        own, wanted = (shape_of(decoder.model).vocabulary for decoder in (self.draft, self.target))
        if own == wanted:
            return self.draft.read(tokens)
        return _resized(self.draft.read(tokens.clamp(max=own - 1)), wanted)

    def _captured(self):
        state = (self.pair, self.target.ring.position, self.draft.ring.position)
        before = [part.clone() for part in state]

        def rewind() -> None:
            for part, value in zip(state, before, strict=True):
                part.copy_(value)

        return capture(self._round, rewind)


def _resized(guesses: Tensor, size: int) -> Tensor:
    """Logits [rows, size] of logits over another number of tokens; what one model alone has is padding."""
    if guesses.shape[1] >= size:
        return guesses[:, :size]
    return pad(guesses, (0, size - guesses.shape[1]), value=-torch.inf)


def speculate(speculator: Speculator, prompt: Tensor, count: int) -> tuple[Tensor, list[int]]:
    """Ids [count] that continue prompt [T], and how many drafts every round kept."""
    tokens, kept = speculator.prefill(prompt, count).tolist(), []
    while len(tokens) < count:
        given = speculator.round()
        kept.append(int(given.accepted))
        tokens += given.tokens[: kept[-1] + 1].tolist()
    return torch.tensor(tokens[:count], device=prompt.device), kept


def block_logits(decoder: BlockDecoder, text: Tensor, start: int) -> Iterator[Tensor]:
    """Logits [1, vocabulary] that predict tokens start .. T-1 of a text [T], read in blocks like drafts."""
    yield decoder.prefill(text[:start], len(text) - start + decoder.block)
    for block in text[start:-1].split(decoder.block):
        yield from decoder.read(block).split(1)
