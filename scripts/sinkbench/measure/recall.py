"""One recall job: how much better a method predicts a passage that it has read before, by the distance.

Perplexity hides what a cache evicts, since little of a text needs what lies far back. A passage that occurs
again needs it (Armeni et al. 2022 score repeated lists so; Khandelwal et al. 2018 take context away). Each
passage is scored at its second occurrence, and once more in a control whose first occurrence is other text
(text.repeats has both texts, and how they are drawn). Both NLLs are those of the policy's exact evaluator.
They are means over all tokens of the passage; the first one counts, although nothing announces it. Saved nats
per token are control less repeated: 0 of what is forgotten. All methods of a study read the same texts.
"""

import numpy as np
import pandas as pd
import torch

from sinkbench import policies
from sinkbench.attention.evaluator import Evaluator
from sinkbench.errors import Unavailable
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.quality import check_vocabulary
from sinkbench.model.families import shape_of
from sinkbench.model.loading import load_model
from sinkbench.quantization.formats import apply_format
from sinkbench.runtime.progress import Progress
from sinkbench.text.repeats import Passage, context_tokens, draw, is_scored, scored_positions, text_tokens
from sinkbench.text.tokens import load_documents

COLUMNS = ["distance", "document", "start", "nll", "control_nll"]


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write COLUMNS, a row for each distance and passage: where the passage begins, and mean NLLs in nats.

    A distance that no document holds, or that the method does not score, is missing: one line says so, and
    the note `missing` has the reason by distance. A NaN makes the whole run invalid, as in `quality`.

    Args:
        settings: model, device, policy, options, quantization, chunk_tokens, tokens, recall (see
            study.Study.recall_settings). See record_outcome for failures.
    """
    record_outcome(settings, tokens_path, output_path, COLUMNS, lambda: _measure(settings, tokens_path))


def _measure(settings: dict, tokens_path: str) -> tuple[pd.DataFrame, dict]:
    wanted = settings["recall"]
    policy = policies.build(settings["policy"], settings["options"])
    documents = load_documents(tokens_path, settings["tokens"])
    fitting, missing = _distances(policy, documents, wanted)
    passages = _passages(documents, wanted)
    for distance, reason in missing.items():
        print(f"NOTHING MEASURED {settings['label']} at distance {distance:,}: {reason}", flush=True)
    model = load_model(settings["model"], settings["device"])
    model = apply_format(settings["quantization"], model)
    evaluator = Evaluator(model, settings["chunk_tokens"])
    with Progress(settings["label"], "texts", 2 * len(fitting) * len(passages)) as progress:
        rows = [_row(evaluator, policy, each, far, progress) for far in fitting for each in passages]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    if (status := _status(frame)) != "ok":
        print(f"INVALID {settings['label']}: {status}", flush=True)
        frame = frame.iloc[:0]
    tokens = wanted["passage_tokens"]
    lengths = {"context_tokens": context_tokens(tokens), "passage_tokens": tokens}
    lengths["trained_tokens"] = shape_of(model).trained_tokens
    return frame, {"status": status, "missing": list(missing.items()), **lengths}


def _distances(policy, documents: dict[str, np.ndarray], wanted: dict) -> tuple[list[int], dict[int, str]]:
    """The distances that can be measured, and the reasons of the others; Unavailable if none can."""
    longest, missing = max(map(len, documents.values())), {}
    for distance in wanted["distances"]:
        needed = text_tokens(distance, wanted["passage_tokens"])
        if longest < needed:
            missing[distance] = f"text too short: {longest:,} tokens, needs {needed:,}"
        elif not is_scored(policy, distance, wanted["passage_tokens"]):
            missing[distance] = f"a text of {needed:,} tokens is more than the method scores"
    if len(missing) == len(wanted["distances"]):
        raise Unavailable(next(iter(missing.values())))
    return [distance for distance in wanted["distances"] if distance not in missing], missing


def _passages(documents: dict[str, np.ndarray], wanted: dict) -> list[Passage]:
    """Drawn for the largest distance that some document holds: all methods and distances share them."""
    tokens, longest = wanted["passage_tokens"], max(map(len, documents.values()))
    held = max(far for far in wanted["distances"] if text_tokens(far, tokens) <= longest)
    return draw(documents, held, tokens, wanted["passages"], wanted["seed"])


def _row(evaluator: Evaluator, policy, passage: Passage, distance: int, progress) -> tuple:
    nll = [_mean_nll(evaluator, policy, passage, ids, distance) for ids in passage.texts(distance)]
    progress(len(nll))
    return distance, passage.document, passage.start, *nll


def _mean_nll(evaluator: Evaluator, policy, passage: Passage, ids: np.ndarray, distance: int) -> float:
    text = torch.from_numpy(ids).to(evaluator.model.device)
    check_vocabulary(evaluator.model, text, passage.document)
    nll = policy.nll_at(evaluator, text, scored_positions(distance, passage.tokens))
    return float(nll.double().mean())


def _status(frame: pd.DataFrame) -> str:
    finite = np.isfinite(frame[["nll", "control_nll"]]).all(axis=1)
    if finite.all():
        return "ok"
    first, count = frame[~finite].iloc[0], int((~finite).sum())
    where = f"{first.document} at distance {first.distance}"
    return f"invalid: {count} mean NLLs are NaN or infinite, the first of them in {where}"
