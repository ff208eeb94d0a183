"""Training of the demonstration model: a small GPT-NeoX on books and Python source, on one device.

The matrices inside the layers are trained with Muon, everything else with AdamW. Both take the same
learning rate, because Muon's step is scaled to the size of AdamW's.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.optim import AdamW, Muon, Optimizer
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from sinkbench.artifacts.files import write_json
from sinkbench.model.loading import random_model
from sinkbench.model.nll import token_nll
from sinkbench.runtime.environment import environment
from sinkbench.training.data import END_OF_TEXT, TrainingData, prepare, sample, token_bytes

MONITOR_WINDOWS = 64  # unseen windows of each kind that are scored during training
WINDOWS_PER_PASS = 64  # bounds the memory of scoring
MAX_GRADIENT_NORM = 1.0
ADAM_BETAS = (0.9, 0.95)


def train(settings: dict, output_dir: str | Path) -> None:
    """Train every model of the config's `training` section on the same text.

    Writes output_dir/<name>/ (a transformers model with its tokenizer) and output_dir/training.json.
    """
    torch.set_float32_matmul_precision("high")
    data = prepare(settings)
    print(f"text: {data.record}", flush=True)
    record = {"settings": settings, "environment": environment(settings["device"]), "text": data.record}
    for plan in settings["models"]:
        record[plan["name"]] = train_one(settings | plan, data, Path(output_dir) / plan["name"])
        write_json(Path(output_dir) / "training.json", record)


def train_one(settings: dict, data: TrainingData, folder: Path) -> dict:
    """Train and save one model; returns size, time, losses on unseen text and log."""
    started = time.monotonic()
    shape = settings["shape"] | {"hidden_dropout": settings["dropout"]}
    model = random_model(shape, settings["seed"], torch.float32, settings["device"])
    log = []
    for row in fit(model, data, settings):
        print(f"{settings['name']}: {row}", flush=True)
        log.append(row)
    save(model, data.tokenizer, folder)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_s": round(time.monotonic() - started, 1),
        "unseen_nats_per_byte": unseen_losses(model, data),
        "log": log,
    }


def fit(model: GPTNeoXForCausalLM, data: TrainingData, settings: dict) -> Iterator[dict]:
    """Train in place; yields a row of the log every `log_every_steps` and after the last step."""
    optimizers = build_optimizers(model, settings)
    generator = torch.Generator(settings["device"]).manual_seed(settings["seed"])
    loss_of = compiled_loss(model)
    started = time.monotonic()
    for step in range(1, settings["steps"] + 1):
        elapsed_s = time.monotonic() - started
        progress = training_progress(step, elapsed_s, settings)
        loss = optimize(loss_of, optimizers, batch(data, settings, generator), rate(step, progress, settings))
        if step % settings["log_every_steps"] == 0 or progress >= 1:
            yield {
                "step": step,
                "elapsed_s": round(elapsed_s, 1),
                "loss_nats_per_token": round(loss.item(), 4),
                "unseen_nats_per_byte": unseen_losses(model, data, MONITOR_WINDOWS),
            }
        if progress >= 1:
            return


def training_progress(step: int, elapsed_s: float, settings: dict) -> float:
    """Share of the training that is over after `step`: of its steps or of its time limit, the larger."""
    limit_s = settings["time_limit_s"]
    return max(step / settings["steps"], elapsed_s / limit_s if limit_s else 0.0)


def rate(step: int, progress: float, settings: dict) -> float:
    """Learning rate: a linear warm-up, a plateau, and a linear decay to zero over the last `decay_share`."""
    warm = min(1.0, step / settings["warmup_steps"])
    left = max(0.0, 1.0 - progress) / settings["decay_share"]
    return settings["learning_rate"] * min(warm, left)


def build_optimizers(model: GPTNeoXForCausalLM, settings: dict) -> list[Optimizer]:
    """Muon for the matrices inside the layers; AdamW for embeddings and vectors, these without decay."""
    inner = [parameter for parameter in model.gpt_neox.layers.parameters() if parameter.ndim == 2]
    tables = [model.gpt_neox.embed_in.weight, model.lm_head.weight]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    decay = settings["weight_decay"]
    groups = [
        {"params": list(dict.fromkeys(tables)), "weight_decay": decay},  # tied, they are one parameter
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [
        Muon(inner, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        AdamW(groups, betas=ADAM_BETAS),
    ]


def batch(data: TrainingData, settings: dict, generator: torch.Generator) -> Tensor:
    """Samples of both kinds of text, int64 [batch_samples, context + 1]."""
    size, context = settings["batch_samples"], settings["context_tokens"]
    prose = round(size * settings["prose_share"])
    counts = {"prose": prose, "code": size - prose}
    samples = [sample(data.streams[kind], count, context, generator) for kind, count in counts.items()]
    return torch.cat(samples)


def compiled_loss(model: GPTNeoXForCausalLM) -> Callable[[Tensor], Tensor]:
    """Mean loss in nats per token of a batch [samples, context + 1]; compiled on CUDA.

    Layers are compiled one by one: the first one's code serves all, and the causal mask, made outside
    them, stays a flag of the attention call.
    """
    loss_of_hidden = _loss_of_hidden
    if model.device.type == "cuda":
        loss_of_hidden = torch.compile(loss_of_hidden, dynamic=False)
        for layer in model.gpt_neox.layers:
            layer.compile(dynamic=False)

    def loss(tokens: Tensor) -> Tensor:
        with half_precision(model):
            hidden = model.gpt_neox(tokens[:, :-1], use_cache=False).last_hidden_state
            return loss_of_hidden(hidden, model.lm_head.weight, tokens[:, 1:])

    return loss


def half_precision(model: GPTNeoXForCausalLM) -> AbstractContextManager:
    """Matrix products in bfloat16 on CUDA."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda")


def _loss_of_hidden(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(linear(hidden, head).flatten(0, 1).float(), targets.flatten())


def optimize(loss_of: Callable, optimizers: list[Optimizer], tokens: Tensor, learning_rate: float) -> Tensor:
    """One step of every optimizer; the loss before it, a scalar left on the device."""
    loss = loss_of(tokens)
    loss.backward()
    parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        optimizer.zero_grad()
    return loss.detach()


def save(model: GPTNeoXForCausalLM, tokenizer, folder: Path) -> None:
    """Save a folder that transformers loads: bfloat16 weights, config and tokenizer.

    The model itself stays float32, rounded to what was saved.
    """
    model.config.hidden_dropout = 0.0
    model.to(torch.bfloat16).save_pretrained(folder)
    model.float()
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def unseen_losses(
    model: GPTNeoXForCausalLM, data: TrainingData, count: int | None = None
) -> dict[str, float]:
    """Nats per byte of unseen text by kind, over all windows or about `count` evenly spaced ones."""
    sizes = token_bytes(data.tokenizer).to(model.device)
    spaced = {kind: rows[:: max(1, len(rows) // count) if count else 1] for kind, rows in data.unseen.items()}
    return {kind: round(nats_per_byte(model, rows, sizes), 4) for kind, rows in spaced.items()}


@torch.no_grad()
def nats_per_byte(model: GPTNeoXForCausalLM, rows: Tensor, sizes: Tensor) -> float:
    """Loss of windows [windows, context + 1] per byte of text; `sizes` [vocabulary] are bytes per token."""
    was_training = model.training
    model.eval()
    nats = 0.0
    with torch.compiler.set_stance("force_eager"):  # else every layer is compiled again for inference
        for part in rows.split(WINDOWS_PER_PASS):
            hidden = model.gpt_neox(part[:, :-1], use_cache=False).last_hidden_state
            nats += token_nll(model, hidden.flatten(0, 1), part[:, 1:].flatten()).sum().item()
    model.train(was_training)
    return nats / sizes[rows[:, 1:]].sum().item()
