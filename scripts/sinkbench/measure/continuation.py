"""One continuation: what a run writes after the beginning of a document, and how likely it found it."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sinkbench import engines, policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import Sampler, generate, greedy
from sinkbench.errors import Unavailable, shown
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.quality import check_vocabulary
from sinkbench.model.loading import load_model
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.quantization.formats import apply_format
from sinkbench.runtime.progress import Progress
from sinkbench.text.tokens import load_documents

COLUMNS = ["position", "token_id", "nll"]


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write position, token_id and nll (nats, float32) of prompt and continuation; see attempt for failures.

    The NLL of a token is that under the distribution of the run's own model, engine and cache, before any
    temperature; the prompt's tokens were given and have none.

    Args:
        settings: model, device, policy, options, quantization, engine, chunk_tokens, continuation
            (see study.Study.continuation_settings).
    """
    record_outcome(settings, tokens_path, output_path, COLUMNS, lambda: (_measure(settings, tokens_path), {}))


class NllRecorder:
    """A way of choosing that keeps the NLLs of what it chose."""

    def __init__(self, choose, progress=lambda tokens: None):
        self.choose, self.progress, self.nll = choose, progress, []

    def __call__(self, logits: Tensor) -> Tensor:
        chosen = self.choose(logits)
        self.nll.append(token_nll_of_logits(logits, chosen))
        self.progress(1)
        return chosen


def _measure(settings: dict, tokens_path: str) -> pd.DataFrame:
    wanted = settings["continuation"]
    prompt = _prompt(load_documents(tokens_path, settings["tokens"]), wanted)
    policy = policies.build(settings["policy"], settings["options"])
    model = load_model(settings["model"], settings["device"])
    model = apply_format(settings["quantization"], model)
    engine = engines.build(settings["engine"], model, policy, Evaluator(model, settings["chunk_tokens"]))
    given = torch.from_numpy(prompt).to(model.device)
    check_vocabulary(model, given, wanted["document"])
    with Progress(settings["label"], total=wanted["new_tokens"]) as progress:
        choose = NllRecorder(_chooser(wanted, model.device), progress)
        ids = generate(engine, given[None], wanted["new_tokens"], choose)[0].cpu().numpy()
    unknown = np.full(len(prompt), np.nan, dtype=np.float32)
    nll = np.concatenate((unknown, torch.cat(choose.nll).float().cpu().numpy()))
    ids = np.concatenate((prompt, ids))
    return pd.DataFrame({"position": range(len(ids)), "token_id": ids, "nll": nll})


def _chooser(wanted: dict, device: torch.device):
    """Greedy at temperature 0."""
    if wanted["temperature"] == 0:
        return greedy
    return Sampler(wanted["temperature"], wanted["seed"], device)


def _prompt(documents: dict[str, np.ndarray], wanted: dict) -> np.ndarray:
    """The first ids of the document; Unavailable if there is no such document, or too little of it."""
    name, count = wanted["document"], wanted["prompt_tokens"]
    if name not in documents:
        raise Unavailable(f"continuations.document: {shown(name)} is not one of {', '.join(documents)}")
    if len(documents[name]) < count:
        raise Unavailable(f"text too short: {len(documents[name])} tokens, needs {count}")
    return documents[name][:count]
