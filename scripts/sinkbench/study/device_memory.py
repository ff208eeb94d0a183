"""Which device memory a study needs, from its plan and its model's config: without torch and without a card.

Compared with the peaks that one H200 showed with Pythia-2.8b in chunks of 8,192 tokens (docs/reference), from
which PAIR_BYTES and STATES come: within 1 % for dense attention at 32,768 tokens (29.5 GiB) and for 4+2044
(7.5 GiB) on `eager`, `graph`, `fused` and what is compiled, with drafts too; 0 to 6 % above for smaller rings
and for refreshed ones; 4 % above on `hf`, 13 % on `growing`; 3 % below for 16 streams in step; from 4 % below
to 14 % above on `paper`. Number formats count as the weights that they are made from, which come first.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import prod

from sinkbench.artifacts.hub import local_folder
from sinkbench.artifacts.model_folder import read_config
from sinkbench.errors import UserError
from sinkbench.model import families
from sinkbench.policies import REFRESHED
from sinkbench.results.datasheet import CARDS
from sinkbench.runtime.shell import try_run
from sinkbench.study.study import Study

GIB = 1 << 30
ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
YARDSTICK_BYTES = 2 * GIB  # of runtime.memory: an array that is read, and one that it is copied to
GROWTH = 1024  # slots by which a cache grows (attention.ring)
# Bytes for each query of a chunk and each key while its mask is made, by who reads the prompt; as measured.
PAIR_BYTES = {"hf": 4, "evaluator": 10}
STATES = 3  # of a chunk's hidden states, alive beside the mask


@dataclass(frozen=True)
class Need:
    """Bytes of one job. The yardstick is measured between prompts, while the cache of the last one stays."""

    job: str
    weights: int
    cache: int
    prefill: int
    yardstick: int = 0

    @property
    def total(self) -> int:
        """The most that is held at once."""
        return self.weights + self.cache + max(self.prefill, self.yardstick)


class ModelSizes:
    """Bytes of a model and of what it keeps.

    Args:
        config: raw config.json, or `shape` of random weights; UserError for one that is refused.
        item_bytes: of one number.
    """

    def __init__(self, config: dict, item_bytes: int):
        family, arguments = families.read_shape(config, "model")
        self.item_bytes, self.shape = item_bytes, family.shape(arguments)
        stored = family.places(arguments).keys() - family.optional(arguments).keys()
        self.weights = item_bytes * sum(prod(family.places(arguments)[place]) for place in stored)

    def keys(self, tokens: int, layers: int | None = None, widened: bool = False) -> int:
        """Keys and values of so many tokens; widened ones are rotated twice (attention.chunked)."""
        shape = self.shape
        dimensions = shape.kv_heads * (2 * shape.head_dim + (shape.rotary_dim if widened else 0))
        return tokens * (shape.layers if layers is None else layers) * dimensions * self.item_bytes

    def chunk(self, tokens: int, held: int, widened: bool, pair_bytes: int) -> int:
        """What a pass over a chunk takes beside the keys that all layers hold."""
        room = self.keys(held + tokens, layers=1, widened=widened)
        states = STATES * tokens * self.shape.hidden * self.item_bytes
        return pair_bytes * tokens * (held + tokens) + room + states


def describe_memory(study: Study, quality: Iterable[tuple[str, str]], timed: Iterable[str]) -> str:
    """One line on the job that needs most, on cards that have less, and on the smallest one here if it has.

    Args:
        quality, timed: see cost.describe_cost; one of them names a job.
    """
    models = [model for model in (study.model, study.draft) if model]
    configs = [config_of(model) for model in models]
    unknown = [_name(model) for model, config in zip(models, configs, strict=True) if config is None]
    if unknown:
        return f"device memory: unknown until the sizes of {', '.join(unknown)} are here"
    methods = sorted({method for method, _ in quality})
    needs = [_scoring(study, method, configs[0]) for method in methods]
    needs += [_timing(study, run, *configs) for run in timed]
    return _said(max(needs, key=lambda need: need.total), _smallest_card())


def _said(need: Need, card: int | None) -> str:
    parts = {"weights": need.weights, "cache": need.cache, "prefill": need.prefill}
    listed = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items())
    turn = f" or, in turn, bandwidth yardstick {need.yardstick / GIB:.1f}" if need.yardstick else ""
    small = [name.removeprefix("NVIDIA ") for name, row in CARDS.items() if row.memory_bytes < need.total]
    small = f"; too much for {', '.join(small)}" if small else ""
    less = f"; WARNING: a card here has {card / GIB:.1f} GiB" if card and card < need.total else ""
    return f"needs about {need.total / GIB:.1f} GiB on the device: {listed}{turn} ({need.job}){small}{less}"


def _scoring(study: Study, method: str, config: dict) -> Need:
    """Of a perplexity: keys are carried from chunk to chunk, and nothing decodes."""
    chosen = study.methods[method]
    sizes, policy = ModelSizes(config, _item_bytes(study, chosen)), chosen.build()
    tokens = policy.max_tokens if policy.cache == "growing" else 0
    _, prefill = _held(study, sizes, policy, tokens, "evaluator")
    return Need(method, sizes.weights, 0, prefill)


def _timing(study: Study, run: str, config: dict, draft: dict | None = None) -> Need:
    chosen, speed = study.runs[run], study.timing_settings(run)["speed"]
    policy, item_bytes = chosen.method.build(), _item_bytes(study, chosen.method)
    longest = max(speed["points"])
    tokens = longest + speed["warmup"] + speed["steps"]
    reader = "hf" if chosen.engine.split("_")[0] == "hf" else "evaluator"
    models = [ModelSizes(config, item_bytes)]
    if chosen.drafts == "model":
        models.append(ModelSizes(draft, item_bytes))
    cache, prefill = _held(study, models[0], policy, tokens, reader)
    cache = chosen.batch * cache + sum(_held(study, model, policy, tokens, reader)[0] for model in models[1:])
    weights = sum(model.weights for model in models)
    return Need(f"{run} at {longest:,} tokens", weights, cache, prefill, YARDSTICK_BYTES)


def _held(study: Study, sizes: ModelSizes, policy, tokens: int, reader: str) -> tuple[int, int]:
    """Bytes of the cache after so many tokens, and of reading them as a prompt."""
    chunk = study.config["evaluation"]["chunk_tokens"]
    if policy.cache == "none":
        return 0, sizes.chunk(chunk, 0, False, PAIR_BYTES["hf"])
    visibility = policy.visibility(tokens)
    slots = visibility.sinks + visibility.longest + 1
    if policy.cache == "growing":
        slots = tokens if reader == "hf" else -(-tokens // GROWTH) * GROWTH
    widened = visibility.sinks > 0
    store = policy.lookback if policy.cache in REFRESHED else 0
    carried = 0 if reader == "hf" else sizes.keys(slots, widened=widened)
    passing = sizes.chunk(chunk, slots, widened, PAIR_BYTES[reader])
    return sizes.keys(slots + store), carried + passing


def _item_bytes(study: Study, method) -> int:
    return ITEM_BYTES[method.dtype or study.model["dtype"]]


def config_of(model: dict) -> dict | None:
    """A model's config; None if it is not here yet, or is refused."""
    with suppress(UserError):
        found = model["shape"] if model["source"] == "random" else read_config(local_folder(model))
        ModelSizes(found, 1)
        return found
    return None


def _name(model: dict) -> str:
    return model.get("repo") or model.get("file") or model.get("path") or "model.shape"


def _smallest_card() -> int | None:
    """Bytes of the smallest card that nvidia-smi lists; None without one."""
    listed = try_run("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
    sizes = [int(size) << 20 for size in (listed or "").splitlines() if size.strip().isdigit()]
    return min(sizes, default=None)
