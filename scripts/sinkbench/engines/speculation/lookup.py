"""Speculative decoding without a draft model: drafts are what followed the same tokens before.

The host looks them up between two rounds, and so learns after each what the round gave. A round is one pass
of the target over k + 1 tokens, or over one where nothing was found. Acceptance rules are those of a draft
model that is sure of its drafts (see `verification`), so that the output is the target's own.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sinkbench.engines.speculation.acceptance import Round, settler
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.suffix_index import SuffixIndex
from sinkbench.model.families import shape_of
from sinkbench.runtime.cuda_graph import capture


class LookupSpeculator:
    """Decodes one stream with a target and an index of its text; the interface of speculator.Speculator.

    Args:
        target: with room in its blocks for k + 1 tokens.
        draft_tokens: k, at most.
        rule: of `verification`.
        captured: whether passes are CUDA graphs.

    Attributes:
        block: ids [k + 1]: the last of the text, which the target has not read, and drafts of a round.
    """

    def __init__(self, target: BlockDecoder, draft_tokens: int, rule, captured: bool = False):
        self.target, self.draft_tokens, self.rule, self.captured = target, draft_tokens, rule, captured
        self.block = torch.zeros(draft_tokens + 1, dtype=torch.int64, device=target.model.device)
        self._settle = settler(target.model.device)
        self.passes: dict[int, Callable[[], Round]] = {}

    @torch.inference_mode()
    def prefill(self, prompt: Tensor, rounds: int) -> Tensor:
        """Read ids [T] that hold the sinks, before `rounds` rounds; the next id [1]."""
        if self.target.policy.cache == "growing":
            self.passes = {}
        self.rule.renew()
        first = self.rule.draft(self.target.prefill(prompt, (rounds + 1) * (self.draft_tokens + 1)), 0)
        self.block[:1] = first
        self.index = SuffixIndex()
        self.index.extend([*prompt.tolist(), int(first)])
        return first

    @torch.inference_mode()
    def round(self) -> Round:
        """Decode 1 to k + 1 tokens."""
        self.rule.renew()
        if self.captured and not self.passes:  # both at once, so that no later round waits for a capture
            self._pass(0)
            self._pass(self.draft_tokens)
        drafts = self.index.following(self.draft_tokens)
        self.block[1 : len(drafts) + 1] = torch.tensor(drafts, dtype=torch.int64)
        given = self._pass(len(drafts))()
        accepted, *ids = torch.cat((given.accepted, given.tokens)).tolist()
        self.index.extend(ids[: accepted + 1])
        return given

    def reset(self) -> None:
        """Free a cache that grows."""
        self.passes = {} if self.target.policy.cache == "growing" else self.passes
        self.target.reset()

    def cache_bytes(self) -> int:
        """Bytes of keys and values."""
        return self.target.cache_bytes()

    def _pass(self, drafts: int) -> Callable[[], Round]:
        if drafts not in self.passes:
            judge = partial(self._judge, drafts)
            self.passes[drafts] = self._recorded(judge) if self.captured else judge
        return self.passes[drafts]

    def _judge(self, count: int) -> Round:
        """One pass over the last token and so many drafts."""
        drafts = self.block[1 : count + 1].clone()
        scores = self.target.read(self.block[: count + 1])
        state = self.block[:1], (self.target.ring.position,)
        return self._settle(self.rule, drafts, self._certain(drafts), scores, *state)

    def _certain(self, drafts: Tensor) -> Tensor:
        """Logits [drafts, vocabulary] of a model that is sure of each draft."""
        size = len(drafts), shape_of(self.target.model).vocabulary
        return torch.full(size, -torch.inf, device=drafts.device).scatter(1, drafts[:, None], 0.0)

    def _recorded(self, judge: Callable[[], Round]) -> Callable[[], Round]:
        state = self.block, self.target.ring.position
        before = [part.clone() for part in state]

        def rewind() -> None:
            for part, value in zip(state, before, strict=True):
                part.copy_(value)

        return capture(judge, rewind)
