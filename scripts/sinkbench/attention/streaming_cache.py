"""StreamingLLM as a cache of transformers: plain `model.generate`, exact at any length.

    cache = sinkbench.StreamingCache(model, sinks=4, window=2044)
    model.generate(ids, past_key_values=cache, max_new_tokens=100_000)  # cache=cache in transformers 5.24

Query t sees sinks 0 .. S-1, the last W tokens and itself, and its distance to sink s is min(t, S + W) - s
(Xiao et al. 2024, section 3.2): policy `streaming` with a budget of S + W tokens.

A sink turns with every query. A cache's `update` is given keys that the model has rotated, and returns them
once for all queries of a passage, so no `update` can turn a sink for each row of a long prompt. transformers'
own sink cache could not either, and rotated all keys anew at each step. So two hooks around the forward pass
of the model's body give the attention to this module:

- Before it, every position becomes 0, where the model's own rotation is the identity. Queries and keys
  arrive unrotated, and are rotated here by angles in float64 (model.rope).
- The config names this module's attention, which transformers' registry has (AttentionInterface). After the
  pass, and also when it fails, the config names what it named before.

The hooks do nothing in a pass without such a cache. No code of a model is patched.
"""

import inspect
import weakref
from types import SimpleNamespace

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache, PreTrainedModel

from sinkbench.attention.passages import Passages
from sinkbench.errors import UserError, shown
from sinkbench.model import families
from sinkbench.policies import Visibility

NAME = "sinkbench_streaming"  # of the attention; no mask is registered under it, so that none is made
NEVER_TAKEN_BACK = "a token that was read is not taken back, so {} is not possible with it"


class StreamingCache(Cache):
    """Keys and values of S sinks and the last W tokens, in a ring of S + W + 1 slots a layer.

    Memory does not grow with the text: 2 layers kv_heads (S + W + 1) head_dim numbers for each text of a
    batch, and the sinks' keys a second time. A prompt may be longer than the cache, and is read by chunks. A
    further call of `generate` goes on where the text stands; `reset` begins another one.

    Args:
        model: for causal language modelling, of one of model.families; moved or cast before it reads.
        sinks: S, first tokens of the text that stay, at least 0.
        window: W, last tokens that stay beside them, at least 1.

    Raises:
        UserError: another model, a number out of range, and later whatever would not be exact: padding, texts
            of several lengths, use_cache=False, beam search, assisted generation, gradients, positions that
            do not follow the text, a model that was moved or cast meanwhile.
    """

    def __init__(self, model: PreTrainedModel, sinks: int = 4, window: int = 2044):
        super().__init__(layers=[])
        self.visibility = _visibility(sinks, window)
        self._config, self._shape = _understood(model)
        self._body = weakref.ref(model.base_model)
        self._named: str | None = None  # the config's attention before a pass
        self.reset()
        _hook(model.base_model)

    def reset(self) -> None:
        """Forget the text, and free the memory."""
        self._passages: Passages | None = None
        self._expected, self._attended, self._ended = None, 0, True

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens read so far, evicted ones included."""
        return 0 if self._passages is None else self._passages.position

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """-1: a text may have any length."""
        return -1

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args, **kwargs):
        """What came in: the attention keeps it. UserError in a pass that did not begin with this cache."""
        if self._expected is None:
            raise UserError("StreamingCache: it was made for another model than the one that runs")
        return key_states, value_states

    def nbytes(self) -> int:
        """Bytes held between two passes."""
        return 0 if self._passages is None else self._passages.nbytes()

    @property
    def batch_size(self) -> int:
        """Texts side by side; -1 before the first pass."""
        return -1 if self._passages is None else self._passages.streams

    @property
    def is_croppable(self) -> bool:
        """No: see crop."""
        return False

    @property
    def is_sliding(self) -> list[bool]:
        """No layer, as far as transformers is concerned: it would make masks, and slice the text."""
        return [False] * len(self)

    is_linear = is_dummy = is_sliding

    def crop(self, *args, **kwargs):
        """Refused."""
        raise UserError(f"StreamingCache: {NEVER_TAKEN_BACK.format('assisted generation')}")

    activate_past_recording = crop

    def reorder_cache(self, *args, **kwargs):
        """Refused."""
        raise UserError("StreamingCache: beam search is not possible with it; use num_beams=1")

    def batch_repeat_interleave(self, *args, **kwargs):
        """Refused."""
        raise UserError("StreamingCache: texts are neither repeated nor left out while they are read")

    batch_select_indices = batch_repeat_interleave

    def __len__(self) -> int:
        return self._shape.layers

    def __repr__(self) -> str:
        sinks, window = self.visibility.sinks, self.visibility.recent
        return f"StreamingCache(sinks={sinks}, window={window}, tokens={self.get_seq_length()})"

    def begin(self, body, given: dict) -> int:
        """Check what the model's body is given, and expect it; the number of tokens."""
        ids = given.get("input_ids")
        batch, tokens = (given["inputs_embeds"] if ids is None else ids).shape[:2]
        self._check_pass(body, given)
        self._check_text(given, batch, tokens)
        self._expected, self._attended, self._ended = (batch, tokens), 0, False
        return tokens

    def attend(self, index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attended heads [batch, tokens, heads, head_dim] of unrotated [batch, heads, tokens, head_dim]."""
        if index == 0:
            self._open(key)
        self._check_kind(key)
        heads = self._passages.attend(index, *(part.flatten(0, 1) for part in (query, key, value)))
        self._attended += 1
        return heads.unflatten(0, query.shape[:2]).transpose(1, 2)

    def end(self, failed: bool) -> None:
        """End of a pass; what one that failed has kept is of no use."""
        self._expected = None
        self._ended = not failed and self._attended == self._shape.layers

    def _open(self, key: Tensor) -> None:
        """Begin the passage, and the rings where there are none; these outlive torch.inference_mode."""
        batch, tokens = self._expected
        if self._passages is None:
            about = SimpleNamespace(config=self._config, dtype=key.dtype, device=key.device)
            with torch.inference_mode(False):
                self._passages = Passages(about, self.visibility, batch)
        self._check_kind(key)
        self._passages.begin(tokens)

    def _check_kind(self, key: Tensor) -> None:
        held = self._passages.buffers.keys
        if (held.dtype, held.device) != (key.dtype, key.device):
            raise UserError(
                f"StreamingCache: the text began in {_kind(held)} and goes on in {_kind(key)}; "
                "call reset() first"
            )

    def _check_pass(self, body, given: dict) -> None:
        """Raise UserError for a pass that this cache does not serve."""
        if body is not self._body():
            raise UserError("StreamingCache: it was made for another model than the one that runs")
        if not self._ended:
            raise UserError("StreamingCache: the pass before did not come to its end; call reset() first")
        if given.get("use_cache") is False:
            raise UserError(
                "StreamingCache: use_cache=false reads the whole text anew at every step; leave it out"
            )
        if given.get("output_attentions"):
            raise UserError("StreamingCache: output_attentions: the weights of attention are not kept")
        if torch.is_grad_enabled():
            raise UserError("StreamingCache: it keeps no gradients; run the model in torch.inference_mode()")

    def _check_text(self, given: dict, batch: int, tokens: int) -> None:
        """Raise UserError unless all texts of the batch go on, without a gap, where they stand."""
        mask, positions = given.get("attention_mask"), given.get("position_ids")
        if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2 and bool(mask.all())):
            raise UserError(
                "StreamingCache: attention_mask: only ones are possible; "
                "give texts of equal length, without padding"
            )
        if self._passages is not None and batch != self.batch_size:
            raise UserError(
                f"StreamingCache: it holds {self.batch_size} texts and is given {batch}; call reset() first"
            )
        start = self.get_seq_length()
        if positions is not None:
            follow = torch.arange(start, start + tokens, device=positions.device)
            if positions.shape[-1] != tokens or not bool((positions == follow).all()):
                raise UserError(
                    f"StreamingCache: position_ids do not follow the {start} tokens that it has read; "
                    "give the whole text so far and more, or call reset()"
                )


def _visibility(sinks: int, window: int) -> Visibility:
    for name, value, least in (("sinks", sinks, 0), ("window", window, 1)):
        if type(value) is not int or value < least:
            raise UserError(
                f"StreamingCache: {name}: {shown(value)} is not a whole number of at least {least}"
            )
    return Visibility(sinks, window)


def _understood(model) -> tuple[SimpleNamespace, families.Shape]:
    """The model's config with every default, and its sizes; UserError if it is not computed here."""
    if not isinstance(model, PreTrainedModel) or not hasattr(model, "generate"):
        raise UserError(f"StreamingCache: {type(model).__name__} is no language model of transformers")
    family, arguments = families.read(model.config.to_dict(), "StreamingCache: model.config")
    config = SimpleNamespace(model_type=model.config.model_type, **arguments)
    return config, family.shape(arguments)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _hook(body) -> None:
    """Hook the body of a model once."""
    if _before not in body._forward_pre_hooks.values():
        body.register_forward_pre_hook(_before, with_kwargs=True)
        body.register_forward_hook(_after, with_kwargs=True, always_call=True)


@torch.compiler.disable
def _before(body, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
    """Ahead of a pass with a StreamingCache: no mask, every position 0, and this module's attention."""
    given = inspect.signature(body.forward).bind_partial(*args, **kwargs)
    given = given.arguments | given.arguments.pop("kwargs", {})
    # Its name there is past_key_values, or cache from transformers 5.24 on.
    cache = next((value for value in given.values() if isinstance(value, StreamingCache)), None)
    if cache is None:
        return None
    tokens = cache.begin(body, given)
    cache._named, body.config._attn_implementation = body.config._attn_implementation, NAME
    given["position_ids"] = torch.zeros(1, tokens, dtype=torch.long, device=body.device)
    return (), given | {"attention_mask": None, "streaming_cache": cache}


@torch.compiler.disable
def _after(body, args: tuple, kwargs: dict, output) -> None:
    """The config's attention as it was; after a pass that failed there is no output."""
    cache = kwargs.get("streaming_cache")
    if cache is not None:
        body.config._attn_implementation, cache._named = cache._named, None
        cache.end(failed=output is None)


@torch.compiler.disable
def _attention(layer, query, key, value, attention_mask, streaming_cache=None, **kwargs):
    """transformers' form of StreamingCache.attend."""
    if streaming_cache is None:
        raise UserError(
            f"attn_implementation: '{NAME}' serves a StreamingCache only, which names it by itself"
        )
    return streaming_cache.attend(layer.layer_idx, query, key, value), None


AttentionInterface.register(NAME, _attention)
