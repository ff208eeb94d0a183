"""Acceptance rules of drafted tokens, under which speculation changes no output.

Greedy: the target's likeliest token replaces the first draft that differs from it, so that the output is the
target's own greedy decoding. Sampled (Leviathan et al. 2023, algorithm 1; Chen et al. 2023, algorithm 2): a
draft x ~ q stays with probability min(1, p(x) / q(x)). A draw from max(0, p - q), normalised, replaces the
first draft that does not stay. After k drafts that stay, the next token is drawn from p. The output has the
target's distribution p, whatever the draft model.

A rule offers `renew()` before a round (new noise, at the same addresses, so that a round may be captured),
`draft(scores, index)` and `verify(drafts, guesses, scores)`.
"""

import torch
from torch import Tensor


class Greedy:
    """The likeliest tokens."""

    def renew(self) -> None:
        """Nothing is random."""

    def draft(self, scores: Tensor, index: int) -> Tensor:
        """An id [1] for logits [1, vocabulary]."""
        return scores.argmax(-1)

    def verify(self, drafts: Tensor, guesses: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the drafts: the number that stays [1], and the id that follows them [1].

        Args:
            drafts: ids [k].
            guesses: the draft model's logits [k, vocabulary] that they were chosen from.
            scores: the target's logits [k + 1, vocabulary] before each draft and after the last.
        """
        wanted = scores.argmax(-1)
        accepted = leading(drafts == wanted[:-1])
        return accepted, wanted.gather(0, accepted)


class Sampled:
    """Draws from the softmax of the target's logits / temperature.

    Args:
        draft_tokens: k, tokens drafted in a round.
        vocabulary: of both models.
        temperature: above 0.
        seed: of the draws; the same seed on the same device gives the same ids.
    """

    def __init__(
        self, draft_tokens: int, vocabulary: int, temperature: float, seed: int, device: torch.device
    ):
        self.temperature = temperature
        self.generator = torch.Generator(device).manual_seed(seed)
        self.chances = torch.empty(draft_tokens, device=device)
        self.races = torch.empty(draft_tokens + 1, vocabulary, device=device)

    def renew(self) -> None:
        """New noise for one round."""
        self.chances.uniform_(generator=self.generator)
        self.races.exponential_(generator=self.generator)

    def draft(self, scores: Tensor, index: int) -> Tensor:
        """A draw [1] from logits [1, vocabulary], the `index`-th of a round."""
        return self._draw(self._share(scores), index)

    def verify(self, drafts: Tensor, guesses: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the drafts by speculative sampling; returns as Greedy.verify."""
        p, q = self._share(scores), self._share(guesses)
        chosen = drafts[:, None]
        chances = self.chances[: len(drafts)]
        stays = chances * q.gather(1, chosen)[:, 0] < p[:-1].gather(1, chosen)[:, 0]
        accepted = leading(stays)
        nothing = torch.zeros_like(p[:1])  # after all drafts nothing was proposed, and all of p remains
        left = (p - torch.cat((q, nothing))).clamp_(min=0).index_select(0, accepted)
        left = torch.where(
            left.sum(-1, keepdim=True) > 0, left, p.index_select(0, accepted)
        )  # p = q, rounded
        return accepted, self._draw(left, -1)

    def _share(self, scores: Tensor) -> Tensor:
        return (scores / self.temperature).softmax(-1)

    def _draw(self, weights: Tensor, index: int) -> Tensor:
        """argmax of weights / exponential noise: a draw in their proportion, made without a wait."""
        return (weights / self.races[index]).argmax(-1)


def leading(stays: Tensor) -> Tensor:
    """How many of the booleans [k] are true before the first that is not, int64 [1]."""
    return stays.long().cumprod(0).sum(0, keepdim=True)
