"""StreamingCache under transformers' own forward pass and generate: the evaluator's scores, or a refusal."""

import copy

import pytest
import torch
import transformers
from model_families import GATED, SHAPES, model_of
from sinkbench import StreamingCache, engines
from sinkbench.attention import passages
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.table import engine_row
from sinkbench.errors import UserError
from sinkbench.model.loading import cache_bytes_per_key
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.policies import Visibility
from sinkbench.policies.streaming import Policy

SINKS, WINDOW = 3, 21
DRAW = torch.Generator().manual_seed(11)
TEXTS = torch.randint(61, (2, 330), generator=DRAW)
LONG = torch.randint(61, (2, 3000), generator=DRAW)
MIXED = [70, *[1] * 150, 2, 40, 1, 1, 66]
PLAIN = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None}


@pytest.fixture(params=SHAPES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def llama():
    return model_of("llama", torch.float64)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that prompts of tests have several."""
    monkeypatch.setattr(passages, "CHUNK_TOKENS", 64)


def cache_of(model, sinks: int = SINKS, window: int = WINDOW) -> StreamingCache:
    return StreamingCache(model, sinks, window)


@torch.inference_mode()
def scored(model, texts: torch.Tensor, cuts: list[int], cache: StreamingCache | None = None) -> torch.Tensor:
    """NLLs [batch, T - 1] by the model's own forward pass, whose passages are so long."""
    cache = cache or cache_of(model)
    logits = [model(part, past_key_values=cache).logits for part in texts.split(cuts, 1)]
    logits = torch.cat(logits, 1)[:, :-1]
    return token_nll_of_logits(logits.flatten(0, 1), texts[:, 1:].flatten()).unflatten(0, (len(texts), -1))


def exact(model, texts: torch.Tensor, sinks: int = SINKS, window: int = WINDOW) -> torch.Tensor:
    return torch.stack([Evaluator(model, 128).stream(text, Visibility(sinks, window)) for text in texts])


def logits_nll(output, start: int) -> torch.Tensor:
    """NLLs of generated tokens by the logits that chose them."""
    chosen = output.sequences[:, start:].unbind(1)
    return torch.stack([token_nll_of_logits(*pair) for pair in zip(output.logits, chosen, strict=True)], 1)


def generated(model, ids: torch.Tensor, cache: StreamingCache, **options):
    options = PLAIN | {"return_dict_in_generate": True, "output_logits": True} | options
    return model.generate(ids, past_key_values=cache, **options)


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-4), (torch.float64, 1e-7)])
def test_every_family_scores_as_the_evaluator(name, dtype, bound):
    model = model_of(name, dtype)
    assert (scored(model, TEXTS, MIXED) - exact(model, TEXTS)).abs().max() < bound
    assert (scored(model, LONG, [3000]) - exact(model, LONG)).abs().max() < bound


@pytest.mark.parametrize("sinks, window", [(0, 1), (0, 9), (1, 1), (4, 5), (70, 8), (5, 400)])
@pytest.mark.parametrize("cuts", [[330], [1, 1, 328], [2, 63, 65, 200], [1] * 90 + [240]])
def test_any_cut_of_the_text_scores_alike(llama, sinks, window, cuts):
    cache = cache_of(llama, sinks, window)
    gap = scored(llama, TEXTS, cuts, cache) - exact(llama, TEXTS, sinks, window)
    assert gap.abs().max() < 1e-7
    assert cache.get_seq_length() == 330


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "temperature": 1.5, "top_k": 0}])
def test_generate_scores_what_it_writes_as_the_evaluator(name, options):
    """Prompts longer than the cache, two of them; the whole texts are scored afterwards."""
    model = model_of(name, torch.float64)
    torch.manual_seed(1)
    output = generated(model, TEXTS[:, :80], cache_of(model), max_new_tokens=50, **options)
    assert output.sequences.shape == (2, 130)
    gap = logits_nll(output, 80) - exact(model, output.sequences)[:, 79:]
    assert gap.abs().max() < 1e-5  # generate gives its logits in float32


def test_generate_writes_what_an_engine_writes(name):
    model = model_of(name, torch.float64)
    evaluator, policy = Evaluator(model, 64), Policy(budget=SINKS + WINDOW, sinks=SINKS)
    engine = engines.build(engine_row("eager"), model, policy, evaluator)
    prompt = TEXTS[:1, :50]
    expected = engines.decode.generate(engine, prompt, 40, engines.decode.greedy)
    own = model.generate(prompt, past_key_values=cache_of(model), **PLAIN | {"max_new_tokens": 40})
    assert torch.equal(own[:, 50:], expected)


def test_turns_of_a_conversation_go_on(llama):
    """Further calls read what is new, and the last token written, which no step has read yet."""
    cache, text = cache_of(llama), TEXTS[:, :2]
    for turn in (1, 2, 90, 30):
        text = torch.cat((text, TEXTS[:, :turn]), 1)
        output = generated(llama, text, cache, max_new_tokens=20)
        assert cache.get_seq_length() == text.shape[1] + 19
        gap = logits_nll(output, text.shape[1]) - exact(llama, output.sequences)[:, text.shape[1] - 1 :]
        assert gap.abs().max() < 1e-5
        text = output.sequences


def test_many_turns_leave_the_sinks_as_they_were():
    """In half precision a rotation forth and back rounds: it must not add up over turns."""
    model = model_of("llama", torch.bfloat16)
    cache = cache_of(model)
    scored(model, TEXTS[:, :10], [10], cache)
    before = cache._passages.buffers.sink_keys.clone()
    scored(model, TEXTS[:, 10:], [2] * 160, cache)
    assert torch.equal(cache._passages.buffers.sink_keys, before)


def test_a_prompt_read_in_parts_by_generate(llama):
    parts = generated(llama, TEXTS, cache_of(llama), prefill_chunk_size=37)
    whole = generated(llama, TEXTS, cache_of(llama))
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=0)


def test_several_continuations_of_one_prompt(llama):
    torch.manual_seed(3)
    output = generated(llama, TEXTS[:1, :60], cache_of(llama), do_sample=True, num_return_sequences=3)
    assert output.sequences.shape == (3, 63)
    assert (logits_nll(output, 60) - exact(llama, output.sequences)[:, 59:]).abs().max() < 1e-5


def test_reset_begins_another_text(llama):
    cache = cache_of(llama)
    first = scored(llama, TEXTS, [330], cache)
    cache.reset()
    assert (cache.get_seq_length(), cache.nbytes(), cache.batch_size) == (0, 0, -1)
    assert torch.equal(scored(llama, TEXTS[1:], [330], cache), scored(llama, TEXTS[1:], [330]))
    cache.reset()
    assert torch.equal(scored(llama, TEXTS, [330], cache), first)


def test_transformers_takes_it_for_plain_layers(llama):
    """From 5.24 on `generate` slices no text for a cache whose every layer is linear, as all of none are."""
    cache = cache_of(llama)
    assert cache.is_sliding == cache.is_linear == cache.is_dummy == [False] * len(cache) == [False, False]
    assert (cache.is_compileable, cache.is_croppable, cache.get_max_length()) == (False, False, -1)


def test_memory_does_not_grow(llama):
    cache = cache_of(llama)
    scored(llama, TEXTS[:1, :40], [40], cache)
    slots, bytes_held = SINKS + WINDOW + 1, cache.nbytes()
    assert bytes_held == cache_bytes_per_key(llama) * slots + cache_bytes_per_key(llama) // 2 * SINKS
    scored(llama, LONG[:1], [2900, *[1] * 100], cache)
    assert cache.nbytes() == bytes_held
    held = {id(part): part for part in vars(cache._passages).values()}
    assert not any(type(part).__name__ == "ChunkStream" for part in held.values())


def test_two_caches_of_one_model_and_copies_keep_apart(llama):
    one, two = cache_of(llama), cache_of(llama, 1, 5)
    expected = exact(llama, TEXTS)[:, 100:], exact(llama, TEXTS, 1, 5)[:, 100:]
    scored(llama, TEXTS[:, :100], [100], one)
    scored(llama, TEXTS[:, :100], [60, 40], two)
    copied = copy.deepcopy(one)
    for cache, nll in ((one, expected[0]), (two, expected[1]), (copied, expected[0])):
        assert (scored(llama, TEXTS[:, 100:], [1, 229], cache) - nll).abs().max() < 1e-7


def test_dense_passes_are_a_fresh_models(name):
    """Before, after and between passes with a cache, and after one that is refused or fails."""
    fresh, model = model_of(name), model_of(name)
    dense = generated(fresh, TEXTS[:, :50], None)
    named = model.config._attn_implementation
    cache = cache_of(model)
    for act in (nothing, lambda: generated(model, TEXTS, cache), lambda: refused(model, cache), nothing):
        act()
        own = generated(model, TEXTS[:, :50], None)
        assert model.config._attn_implementation == named
        assert torch.equal(own.sequences, dense.sequences)
        assert all(map(torch.equal, own.logits, dense.logits))


def nothing() -> None:
    pass


def refused(model, cache: StreamingCache) -> None:
    with pytest.raises(UserError, match="position_ids"):
        generated(model, TEXTS[:, :5], cache)


def test_a_pass_that_fails_is_not_gone_on_from(llama, monkeypatch):
    cache = cache_of(llama)
    scored(llama, TEXTS[:, :50], [50], cache)
    with monkeypatch.context() as patch:
        patch.setattr(llama.model.layers[1].mlp, "forward", lambda hidden: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scored(llama, TEXTS[:, 50:], [280], cache)
    assert llama.config._attn_implementation == "sdpa"
    with pytest.raises(UserError, match="did not come to its end"):
        scored(llama, TEXTS[:, 50:], [280], cache)
    cache.reset()
    assert (scored(llama, TEXTS, [330], cache) - exact(llama, TEXTS)).abs().max() < 1e-7


def padded() -> torch.Tensor:
    mask = torch.ones_like(TEXTS[:, :9])
    mask[0, :4] = 0
    return mask


@pytest.mark.parametrize(
    "options, said",
    [
        ({"attention_mask": padded()}, "texts of equal length, without padding"),
        ({"use_cache": False}, "use_cache=false"),
        ({"num_beams": 2}, "beam search"),
        ({"prompt_lookup_num_tokens": 2}, "assisted generation|only batch_size = 1"),
    ],
)
def test_what_would_not_be_exact_is_refused(llama, options, said):
    with pytest.raises((UserError, ValueError), match=said):
        generated(llama, TEXTS[:, :9], cache_of(llama), **options)


@pytest.mark.parametrize("kind", ["lookup", "assistant"])
def test_assisted_generation_is_refused(llama, kind):
    options = {"prompt_lookup_num_tokens": 2} if kind == "lookup" else {"assistant_model": model_of("llama")}
    with pytest.raises(UserError, match="assisted generation"):
        generated(llama, TEXTS[:1, :9].repeat(1, 3), cache_of(llama), **options)


def test_a_static_cache_beside_it_is_refused_by_transformers(llama):
    with pytest.raises(ValueError, match="cache_implementation"):
        generated(llama, TEXTS[:, :9], cache_of(llama), cache_implementation="static")


def test_texts_that_do_not_go_on_are_refused(llama):
    cache = cache_of(llama)
    generated(llama, TEXTS[:, :9], cache)
    with pytest.raises(UserError, match="position_ids do not follow the 11 tokens"):
        generated(llama, TEXTS[:, :11], cache)  # nothing new: transformers would read all of it again
    with pytest.raises(UserError, match="holds 2 texts and is given 1"):
        generated(llama, TEXTS[:1, :20], cache)


def test_gradients_and_weights_of_attention_are_refused(llama):
    with pytest.raises(UserError, match="gradients"):
        llama(TEXTS, past_key_values=cache_of(llama))
    with pytest.raises(UserError, match="output_attentions"), torch.no_grad():
        llama(TEXTS, past_key_values=cache_of(llama), output_attentions=True)


def test_a_cache_serves_its_own_model(llama):
    hooked, bare = model_of("llama"), model_of("llama")
    cache_of(hooked)
    for other in (hooked, bare):
        with pytest.raises(UserError, match="another model"):
            generated(other, TEXTS, cache_of(llama))


def test_a_model_may_be_cast_before_it_reads_and_not_after():
    model = model_of("qwen3")
    cache = cache_of(model)
    model.bfloat16()
    gap = scored(model, TEXTS, MIXED, cache) - exact(model, TEXTS)
    assert gap.abs().mean() < 0.02
    model.float()
    with pytest.raises(UserError, match="began in bfloat16 on cpu and goes on in float32 on cpu"):
        scored(model, TEXTS, [330], cache)
    cache.reset()
    assert (scored(model, TEXTS, [330], cache) - exact(model, TEXTS)).abs().max() < 1e-4


@pytest.mark.parametrize(
    "numbers, said",
    [
        ((-1, 8), "sinks: -1 is not a whole number of at least 0"),
        ((4, 0), "window: 0 is not a whole number of at least 1"),
        ((True, 8), "sinks: true is not"),
        ((4, 2.5), "window: 2.5 is not"),
    ],
)
def test_numbers_out_of_range(llama, numbers, said):
    with pytest.raises(UserError, match=said):
        StreamingCache(llama, *numbers)


def test_models_of_other_families():
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=8, n_head=2, n_layer=1, vocab_size=9))
    sizes = {
        key: GATED[key] for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    }
    window = transformers.MistralForCausalLM(
        transformers.MistralConfig(**sizes, num_key_value_heads=2, intermediate_size=8, sliding_window=16)
    )
    with pytest.raises(UserError, match="model_type: 'gpt2' is not one of gpt_neox, llama"):
        StreamingCache(gpt2)
    with pytest.raises(UserError, match="sliding_window: 16 is not computed here"):
        StreamingCache(window)
    with pytest.raises(UserError, match="Linear is no language model of transformers"):
        StreamingCache(torch.nn.Linear(2, 2))


def test_a_config_that_leaves_keys_out():
    """Qwen2's own config has no head_dim, unlike one that this project makes."""
    torch.manual_seed(2)
    config = transformers.Qwen2Config(
        vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    model = transformers.Qwen2ForCausalLM(config).double().eval()
    assert not hasattr(config, "head_dim")
    nll = scored(model, TEXTS, MIXED)
    config.head_dim = 8
    assert (nll - exact(model, TEXTS)).abs().max() < 1e-7


@pytest.mark.slow
def test_a_compiled_model_scores_alike(llama):
    """torch.compile leaves the hooks and the attention as they are."""
    compiled = torch.compile(llama, backend="eager")
    cuts = [60, 1, 1, 1, 20]
    texts = TEXTS[:, : sum(cuts)]
    assert (scored(compiled, texts, cuts, cache_of(llama)) - exact(llama, texts)).abs().max() < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt_neox", "llama"])
def test_twenty_thousand_tokens(family):
    model = model_of(family)
    text = torch.randint(61, (1, 20_001), generator=torch.Generator().manual_seed(1))
    gap = (scored(model, text, [1] * 20_001) - exact(model, text)).abs()
    assert gap.mean() < 1e-4
    assert gap.max() < 1e-2
