"""A run on the bench: its model, policy and engine, and the text that it decodes."""

import numpy as np
import torch

from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.measure.places import spread
from sinkbench.measure.quality import check_vocabulary
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.text.tokens import load_documents


class Bench:
    """What jobs that time a run have in common.

    Args:
        settings: model, device, policy, options, engine, batch, chunk_tokens, speed
            (see study.Study.speed_settings).
        model: as `settings` name it, already loaded and quantized; None loads it.

    Attributes:
        kind, points: what time depends on, and where it is measured.
        steps: timed in a row; whole periods of the policy, so that their mean holds all that it does.
        scored_from: stream index of the first token on which the engine is scored, by steps like the timed
            ones. A bounded cache is full there. With a growing cache the scored tokens end where timing
            begins, since a model says little of text beyond its training length.
        text: token ids on the model's device, long enough for everything.
    """

    def __init__(self, settings: dict, tokens_path: str, model=None):
        self.settings, self.speed = settings, settings["speed"]
        self.policy = policies.build(settings["policy"], settings["options"])
        self.kind, self.points = self.speed["kind"], self.speed["points"]
        self.steps = -(-self.speed["steps"] // self.policy.period) * self.policy.period
        self.scored_from = self._scored_from()
        self.model = _model(settings) if model is None else model
        self.evaluator = Evaluator(self.model, settings["chunk_tokens"])
        self.engine = engines.build(settings["engine"], self.model, self.policy, self.evaluator)
        documents = list(load_documents(tokens_path, settings["tokens"]).values())
        self.rounds = self.speed["repetitions"] + 1  # round 0 is warm-up
        # One text a round; those behind would only lie in the device's memory, which is measured.
        self.starts = spread([len(ids) for ids in documents], self.rounds)
        self.text = self._text(np.concatenate(documents))

    def texts(self, length: int, place: int = 0) -> torch.Tensor:
        """A stretch of the stream for every member of the batch [batch, length]; no two begin alike.

        Args:
            place: where the stretch starts, one of a round each (places.spread).
        """
        start = self.starts[place]
        return torch.stack([self.text[start + row :][:length] for row in range(self.settings["batch"])])

    def rebuild(self) -> None:
        """A new engine in place of the old one; two might not fit."""
        self.engine = None
        self.engine = engines.build(self.settings["engine"], self.model, self.policy, self.evaluator)

    def _scored_from(self) -> int:
        first = min(self.points)
        if self.policy.cache == "growing":
            return max(1, first - self.speed["check_tokens"])
        return self.policy.visibility(first).budget

    def _text(self, ids: np.ndarray) -> torch.Tensor:
        """The corpus as one stream, repeated until it is long enough for every point from every document."""
        timed = max(self.points) + self.rounds * (self.speed["warmup"] + self.steps)
        needed = max(timed, self.scored_from + self.speed["check_tokens"] + 1) + self.settings["batch"]
        text = torch.from_numpy(np.resize(ids, needed + self.starts.max())).to(self.model.device)
        check_vocabulary(self.model, text, "of the timed stream")
        return text


def _model(settings: dict):
    return apply_format(settings["quantization"], load_model(settings["model"], settings["device"]))
