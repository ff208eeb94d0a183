"""One self-check: dense NLLs of our evaluator beside those of transformers' own class, loaded by itself.

The two sides share nothing but the checkpoint and torch: not the loader, the rotation or the mask. A model in
half precision is also compared in float32 with the same weights, where rounding hides less.
"""

from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from sinkbench.artifacts.hub import converted_facts, local_folder
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.errors import Unavailable, UserError, first_line
from sinkbench.measure.outcome import record_outcome
from sinkbench.measure.quality import check_vocabulary
from sinkbench.model.families import shape_of
from sinkbench.model.hf_attention import STOCK
from sinkbench.model.loading import load_model
from sinkbench.model.nll import LOGIT_ROWS, token_nll_of_logits
from sinkbench.model.widened import is_wide, widened
from sinkbench.text.tokens import load_documents

COLUMNS = ["dtype", "position", "nll", "stock_nll"]
# Of the means, of a token on average and of any token: in nats, and in half precision in units of roundoff.
# Two correct sides of the models here stayed below 2, 16 and 195 of these (docs/trust.md).
FLOAT32_BOUNDS = (1e-4, 1e-4, 1e-3)
HALF_BOUNDS = (4, 32, 512)
MOST_TOKENS = 4096  # that are compared, since all their logits are held at once
FEW_TOKENS = 512  # over fewer the rounding errors average out less


def measure(settings: dict, tokens_path: str, output_path: str) -> None:
    """Write dtype, position (index t), nll and stock_nll (of token t + 1, nats, float32).

    The text is the beginning of the longest document, as long as the model was trained on or as there is.
    The note `said` is one line with the means, `converted_from` what a gguf file says of itself.
    See record_outcome for failures.

    Args:
        settings: model, device, chunk_tokens, tokens (see study.Study.self_check_settings).

    Raises:
        UserError: the two sides differ by more than `bounds`, or the checkpoint is refused.
    """
    record_outcome(settings, tokens_path, output_path, COLUMNS, lambda: _measure(settings, tokens_path))


def compare(own: np.ndarray, stock: np.ndarray, dtype: str) -> tuple[str, bool]:
    """What two series of NLLs [tokens] say in one line, and whether they differ by more than `bounds`.

    A NaN or an infinity differs from every number, and agrees with one of the other side.
    """
    known = np.isfinite(own) & np.isfinite(stock)
    lone = int((np.isfinite(own) != np.isfinite(stock)).sum())
    if not known.any():
        return f"in {dtype} no NLL of {len(own):,} is finite on both sides", bool(lone)
    own, stock = own[known].astype(float), stock[known].astype(float)
    gaps = abs(own - stock)
    found, allowed = (abs(own.mean() - stock.mean()), gaps.mean(), gaps.max()), bounds(dtype, len(own))
    said = (
        f"mean NLL {own.mean():.4f} here, {stock.mean():.4f} by transformers "
        f"over {len(own):,} tokens in {dtype}; "
        f"differences {_listed(found)} of the means, on average and at most ({_listed(allowed)} allowed)"
    )
    said += f"; {lone} NLLs are NaN or infinite on one side alone" if lone else ""
    return said, bool(lone) or any(gap > bound for gap, bound in zip(found, allowed, strict=True))


def bounds(dtype: str, tokens: int) -> tuple[float, float, float]:
    """Nats by which the means, a token on average and any token may differ over so many tokens."""
    if dtype == "float32":
        return FLOAT32_BOUNDS
    mean, average, most = (times * torch.finfo(getattr(torch, dtype)).eps / 2 for times in HALF_BOUNDS)
    return mean * sqrt(max(1, FEW_TOKENS / tokens)), average, most


def stock_model(folder: Path, dtype: str, device: str):
    """The checkpoint as transformers loads it, with the attention that it chooses by itself.

    Its "eager" attention would hold the scores of all pairs of tokens.

    Raises:
        Unavailable: transformers refuses the folder, for whatever reason.
    """
    options = {"use_safetensors": True, "local_files_only": True, "attn_implementation": STOCK}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), **options)
    except Exception as error:  # it raises whatever its parts do; nothing of ours, nor of a device, runs here
        said = first_line(error)
        raise Unavailable(f"{folder}: transformers cannot load it, so nothing is compared: {said}") from error
    return model.to(device)


@torch.inference_mode()
def stock_nll(model, ids: Tensor) -> Tensor:
    """NLL of tokens 1 .. T-1 of ids [T] by the model's own logits, widened to float32: [T - 1]."""
    scores = model(input_ids=ids[None, :-1], use_cache=False, return_dict=True).logits[0]
    rows = zip(scores.split(LOGIT_ROWS), ids[1:].split(LOGIT_ROWS), strict=True)
    return torch.cat([token_nll_of_logits(part.float(), targets) for part, targets in rows])


def _measure(settings: dict, tokens_path: str) -> tuple[pd.DataFrame, dict]:
    folder, dtype, device = local_folder(settings["model"]), settings["model"]["dtype"], settings["device"]
    model = load_model(settings["model"], device)
    ids = _longest(load_documents(tokens_path, settings["tokens"]), model)
    own = _in_each_dtype(
        model, lambda twin, kernel: Evaluator(twin, settings["chunk_tokens"], kernel=kernel).dense(ids)
    )
    del model  # two might not fit
    torch.cuda.empty_cache()
    stock = _in_each_dtype(stock_model(folder, dtype, device), lambda twin, _: stock_nll(twin, ids))
    frames, lines = [], []
    for each in own:
        said, differs = compare(own[each], stock[each], each)
        if differs:
            raise UserError(f"{folder}: is not computed as transformers computes it: {said}")
        lines.append(said)
        about = {"dtype": each, "position": range(len(own[each]))}
        frames.append(pd.DataFrame(about | {"nll": own[each], "stock_nll": stock[each]}))
    notes = {"said": "; ".join(lines), "converted_from": converted_facts(settings["model"])}
    return pd.concat(frames, ignore_index=True), notes


def _in_each_dtype(model, score) -> dict[str, np.ndarray]:
    """NLLs by dtype: in the model's own, and in float32 with the same weights.

    Args:
        score: of a model and the evaluator's kernel, which is None for the one that measures.
    """
    found = {str(model.dtype).removeprefix("torch."): score(model, None)}
    if not is_wide(model):
        found["float32"] = score(widened(model), MaskedKernel())
    return {dtype: nll.cpu().numpy() for dtype, nll in found.items()}


def _longest(documents: dict[str, np.ndarray], model) -> Tensor:
    """Ids of the longest document, up to the length that the model was trained on and to MOST_TOKENS."""
    name = max(documents, key=lambda document: len(documents[document]))
    length = min(shape_of(model).trained_tokens, MOST_TOKENS)
    ids = torch.from_numpy(documents[name][:length]).to(model.device)
    if len(ids) < 2:
        raise Unavailable(f"self-check: the longest document has {len(ids)} tokens, needs 2")
    check_vocabulary(model, ids, name)
    return ids


def _listed(nats: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.1e}" for value in nats)
