"""One job on sinks: the share of dense attention that goes to a text's first tokens, by layer and head."""

import numpy as np
import pandas as pd
import torch

from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.sink_shares import FIRST, attention_to_first
from sinkbench.errors import Unavailable
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.quality import check_vocabulary
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.runtime.progress import Progress
from sinkbench.text.tokens import load_documents

COLUMNS = ["layer", "head", "first", "share"]


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write the share of attention to the `first` tokens of each layer and head (COLUMNS, from 0 on).

    It is a mean over the queries of the second half of a text, and over the documents. Each text is the
    first `tokens` tokens of a document; shorter documents are left out, and the note `documents` counts the
    others. A NaN makes the whole run invalid. See record_outcome for failures.

    Args:
        settings: model, device, quantization, chunk_tokens, tokens, sink_shares (see
            study.Study.sink_settings).
    """
    record_outcome(settings, tokens_path, output_path, COLUMNS, lambda: _measure(settings, tokens_path))


def _measure(settings: dict, tokens_path: str) -> tuple[pd.DataFrame, dict]:
    documents = load_documents(tokens_path, settings["tokens"])
    texts = _texts(documents, settings["sink_shares"]["tokens"])
    model = load_model(settings["model"], settings["device"])
    model = apply_format(settings["quantization"], model)
    with Progress(settings["label"], total=sum(map(len, texts.values()))) as progress:
        evaluator = Evaluator(model, settings["chunk_tokens"], progress)
        shares = [_shares(evaluator, name, ids) for name, ids in texts.items()]
    mean = np.mean(shares, axis=0)
    if not np.isfinite(mean).all():
        status = f"invalid: {int((~np.isfinite(mean)).sum())} shares are NaN or infinite"
        print(f"INVALID {settings['label']}: {status}", flush=True)
        return pd.DataFrame(columns=COLUMNS), {"status": status}
    return _frame(mean), {"documents": len(texts), "text_tokens": settings["sink_shares"]["tokens"]}


def _texts(documents: dict[str, np.ndarray], tokens: int) -> dict[str, np.ndarray]:
    """The first `tokens` ids of each document that has so many; Unavailable if none has."""
    texts = {name: ids[:tokens] for name, ids in documents.items() if len(ids) >= tokens}
    if not texts:
        longest = max(map(len, documents.values()))
        raise Unavailable(f"text too short: {longest:,} tokens, needs {tokens:,}")
    return texts


def _shares(evaluator: Evaluator, name: str, ids: np.ndarray) -> np.ndarray:
    text = torch.from_numpy(ids).to(evaluator.model.device)
    check_vocabulary(evaluator.model, text, name)
    return attention_to_first(evaluator, text).cpu().numpy()


def _frame(shares: np.ndarray) -> pd.DataFrame:
    """Rows of shares [layers, heads, len(FIRST)]."""
    layers, heads, firsts = (index.ravel() for index in np.indices(shares.shape))
    columns = {"layer": layers, "head": heads, "first": np.array(FIRST)[firsts], "share": shares.ravel()}
    return pd.DataFrame(columns)
