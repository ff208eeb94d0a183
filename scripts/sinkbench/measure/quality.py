"""One quality job: the exact per-token NLLs of one method over one corpus."""

from bisect import bisect_left

import pandas as pd
import torch

from sinkbench import policies
from sinkbench.artifacts.lineage import read_metadata
from sinkbench.attention.evaluator import Evaluator
from sinkbench.errors import Unavailable, UserError, shown
from sinkbench.measure.outcome import record_outcome
from sinkbench.model.families import shape_of
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.runtime.progress import Progress
from sinkbench.text.tokens import load_documents

COLUMNS = ["document", "position", "nll"]
LONGEST = 2**24  # tokens of a document, more than any has


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write document, position (index t) and nll (of token t + 1, nats, float32) for every scored t.

    A NaN or an infinity anywhere makes the whole run invalid: the table is then empty and its status says
    where, so that no number of such a run reaches a result. See attempt for other failures.

    Args:
        settings: model, device, policy, options, chunk_tokens (see study.Study.quality_settings).
    """
    record_outcome(settings, tokens_path, output_path, COLUMNS, lambda: _measure(settings, tokens_path))


def _measure(settings: dict, tokens_path: str) -> tuple[pd.DataFrame, dict]:
    """The table, its status, the length that the model was trained on, and the documents left out."""
    policy = policies.build(settings["policy"], settings["options"])
    documents = load_documents(tokens_path, settings["tokens"])
    positions = _positions(policy, documents)
    model = load_model(settings["model"], settings["device"])
    model = apply_format(settings["quantization"], model)
    total = sum(map(len, positions.values()))
    with Progress(settings["label"], total=total) as progress:
        evaluator = Evaluator(model, settings["chunk_tokens"], progress)
        frames = [_score(evaluator, policy, name, documents[name], positions[name]) for name in positions]
    frame = pd.concat(frames, ignore_index=True)
    status = _status(frame)
    if status != "ok":
        print(f"INVALID {settings['label']}: {status}", flush=True)
        frame = frame.iloc[:0]
    skipped = len(documents) - len(positions) + len(read_metadata(tokens_path)["blank"])
    trained = shape_of(model).trained_tokens
    return frame, {"status": status, "trained_tokens": trained, "skipped_documents": skipped}


def _positions(policy, documents: dict) -> dict:
    """Scored positions of each document that has any; Unavailable if none has."""
    positions = {name: policy.positions(len(ids)) for name, ids in documents.items()}
    positions = {name: indices for name, indices in positions.items() if len(indices)}
    if not positions:
        longest = max(map(len, documents.values()))
        raise Unavailable(f"text too short: {longest} tokens, needs {_fewest(policy)}")
    return positions


def _fewest(policy) -> int:
    """Tokens of the shortest document of which the policy scores anything."""
    return bisect_left(range(LONGEST), True, key=lambda length: len(policy.positions(length)) > 0)


def _score(evaluator: Evaluator, policy, name: str, ids, positions) -> pd.DataFrame:
    document = torch.from_numpy(ids).to(evaluator.model.device)
    check_vocabulary(evaluator.model, document, name)
    nll = policy.nll_at(evaluator, document, positions).cpu().numpy()
    return pd.DataFrame({"document": name, "position": list(positions), "nll": nll})


def check_vocabulary(model, document: torch.Tensor, name: str) -> None:
    """Raise UserError if the tokenizer speaks of tokens that the model does not have."""
    largest, size = int(document.max()), shape_of(model).vocabulary
    if largest >= size:
        raise UserError(
            f"document {shown(name)} has token id {largest}, but the model's vocabulary ends at {size - 1}: "
            "model and tokenizer do not belong together"
        )


def _status(frame: pd.DataFrame) -> str:
    finite = frame.nll.abs() < float("inf")
    if finite.all():
        return "ok"
    first = frame[~finite].iloc[0]
    count, where = int((~finite).sum()), f"{first.document} at position {first.position}"
    return f"invalid: {count} NLLs are NaN or infinite, the first in {where}"
