"""Speculation changes no output: greedy ids are the target's own, sampled ones have its distribution."""

import pytest
import torch
from helpers import model_and_text, shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from sinkbench import engines
from sinkbench.attention.evaluator import Evaluator
from sinkbench.engines.decode import generate, greedy
from sinkbench.engines.speculation.agreement import agreement
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.speculator import Speculator, block_logits, speculate
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.engines.table import engine_row
from sinkbench.model.loading import random_model
from sinkbench.model.nll import token_nll_of_logits
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy as Streaming

POLICIES = [Streaming(budget=12, sinks=2), Streaming(budget=9, sinks=0), Dense(max_tokens=200)]
TINY = {
    "vocab_size": 4,
    "hidden_size": 8,
    "num_attention_heads": 1,
    "num_hidden_layers": 1,
    "intermediate_size": 8,
    "initializer_range": 0.7,
}


def near(model, seed: int):
    """A draft model that often agrees with `model`: the same weights with some noise."""
    draft = type(model)(model.config).to(model.dtype).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for own, weight in zip(draft.parameters(), model.parameters(), strict=True):
        own.copy_(weight + 0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    return draft


def speculator(target, draft, policy, draft_tokens: int, rule) -> Speculator:
    decoders = (
        BlockDecoder(model, policy, Evaluator(model, 16), draft_tokens + 1) for model in (target, draft)
    )
    return Speculator(*decoders, draft_tokens, rule)


@settings(max_examples=25, deadline=None)
@given(
    shape=shapes(),
    seed=st.integers(0, 1000),
    policy=st.sampled_from(POLICIES),
    draft_tokens=st.integers(1, 8),
    prompt=st.integers(3, 30),
)
def test_greedy_speculation_is_greedy_decoding(shape, seed, policy, draft_tokens, prompt):
    """Token for token, through filling, full and wrapped rings; float64, so that no tie is near."""
    model, ids = model_and_text(shape, seed, prompt)
    expected = generate(
        engines.build(engine_row("eager"), model, policy, Evaluator(model, 16)), ids[None], 60, greedy
    )[0]
    given_ids, kept = speculate(speculator(model, near(model, seed), policy, draft_tokens, Greedy()), ids, 60)
    assert torch.equal(given_ids, expected)
    assert all(0 <= count <= draft_tokens for count in kept)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rule", ["greedy", "sampled"])
def test_a_draft_model_that_is_the_target_is_always_right(tiny, policy, rule):
    """Both caches stand where they should, or the draft model would see another text."""
    ids = torch.arange(30) * 7 % 256
    chosen = Greedy() if rule == "greedy" else Sampled(4, tiny.config.vocab_size, 1.0, 0, tiny.device)
    _, kept = speculate(speculator(tiny, tiny, policy, 4, chosen), ids, 60)
    assert set(kept) == {4}


def surprise(counts: torch.Tensor, expected: torch.Tensor) -> float:
    """Pearson's chi-squared of counts against expected ones [cells], in standard deviations from its mean."""
    freedom = len(counts) - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return (statistic - freedom) / (2 * freedom) ** 0.5


def test_every_place_of_a_round_has_the_target_s_distribution():
    """Each place another p and q, so that a residual of the wrong place shows; chances as the papers say."""
    generator, draft_tokens, cells, rounds = torch.Generator().manual_seed(1), 2, 5, 30_000
    scores, guesses = torch.randn(2, draft_tokens + 1, cells, generator=generator) * 1.2
    p, q = (scores / 0.8).softmax(-1), (guesses[:draft_tokens] / 0.8).softmax(-1)
    rule = Sampled(draft_tokens, cells, 0.8, 3, torch.device("cpu"))

    def one_round(chances: torch.Tensor, races: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rule.chances, rule.races = chances, races
        drafts = torch.cat([rule.draft(guesses[place][None], place) for place in range(draft_tokens)])
        accepted, following = rule.verify(drafts, guesses[:draft_tokens], scores)
        return accepted, torch.cat((drafts, following)).scatter(0, accepted, following)

    # The noise of all rounds at once, drawn as that of one is.
    rule.chances, rule.races = torch.empty(rounds, draft_tokens), torch.empty(rounds, draft_tokens + 1, cells)
    rule.renew()
    accepted, given_ids = torch.vmap(one_round)(rule.chances, rule.races)
    is_given = torch.arange(draft_tokens + 1) <= accepted
    counts = torch.stack(
        [given_ids[is_given[:, place], place].bincount(minlength=cells) for place in range(draft_tokens + 1)]
    ).float()
    reached = counts.sum(-1, keepdim=True)
    assert all(surprise(*pair) < 4 for pair in zip(counts, reached * p, strict=True))
    chances = torch.minimum(p[:-1], q).sum(-1)
    kept = reached[1:, 0] / reached[:-1, 0]
    assert ((kept - chances).abs() < 4 * (chances * (1 - chances) / reached[:-1, 0]).sqrt()).all()


@pytest.mark.parametrize("runs", [1500, pytest.param(10_000, marks=pytest.mark.slow)])
@torch.inference_mode()
def test_sampled_text_has_the_target_s_distribution(runs):
    """Three tokens after a prompt, over rounds that keep some drafts, against all that the target may say."""
    target, draft = (random_model(TINY, seed, torch.float64, "cpu").eval() for seed in (3, 4))
    prompt, vocabulary = torch.tensor([0, 3, 1, 2]), TINY["vocab_size"]
    triples = torch.cartesian_prod(*[torch.arange(vocabulary)] * 3)
    texts = torch.cat((prompt.expand(len(triples), -1), triples), 1)
    shares = target(texts).logits[:, 3:-1].log_softmax(-1).gather(2, triples[..., None]).sum((1, 2)).exp()
    own = speculator(
        target,
        draft,
        Streaming(budget=20, sinks=2),
        2,
        Sampled(2, vocabulary, 1.0, 5, target.device),
    )
    counts, kept = torch.zeros(len(triples)), []
    own.prefill(prompt, 3)
    places = own.target.ring.position.clone(), own.draft.ring.position.clone()
    for _ in range(runs):  # the prompt is read once
        for decoder, place in zip((own.target, own.draft), places, strict=True):
            decoder.ring.position.copy_(place)
        own.pair.copy_(prompt[-2:])
        own.target.take_back(1)
        own.draft.take_back(1)
        tokens = []
        while len(tokens) < 3:
            given_round = own.round()
            kept.append(int(given_round.accepted))
            tokens += given_round.tokens[: kept[-1] + 1].tolist()
        counts[(tokens[0] * vocabulary + tokens[1]) * vocabulary + tokens[2]] += 1
    assert set(kept) == {0, 1, 2}
    assert surprise(counts, runs * shares) < 4


def test_the_target_scores_what_the_evaluator_scores(tiny, known):
    ids = torch.from_numpy(known["tokens"].astype("int64"))
    decoder = BlockDecoder(tiny, Streaming(budget=32, sinks=4), Evaluator(tiny, 64), 5)
    exact = torch.from_numpy(known["sinks4_window28"])[19:]
    predicted = torch.cat(list(block_logits(decoder, ids, 20)))
    torch.testing.assert_close(token_nll_of_logits(predicted, ids[20:]).double(), exact, atol=1e-4, rtol=0)


def test_a_captured_round_is_captured_once_and_leaves_no_trace(tiny, captures):
    ids, policy = torch.arange(20) * 7 % 256, Streaming(budget=16, sinks=4)
    plain = speculator(tiny, near(tiny, 1), policy, 4, Greedy())
    expected, _ = speculate(plain, ids, 50)
    plain.captured, plain._step = True, None
    for _ in range(2):
        plain.reset()
        assert torch.equal(speculate(plain, ids, 50)[0], expected)
    assert len(captures) == 1


def padded(model, size: int):
    """The same model with a vocabulary padded to `size` tokens, the new ones likelier than all others."""
    config = type(model.config)(**{**model.config.to_dict(), "vocab_size": size})
    wide = type(model)(config).to(model.dtype).eval().requires_grad_(False)
    for name, weight in model.state_dict().items():
        own = wide.state_dict()[name]
        own.copy_(100.0) if own.shape != weight.shape else None
        own[: len(weight)].copy_(weight)
    return wide


@pytest.mark.parametrize("sampled", [False, True])
def test_a_draft_whose_vocabulary_is_padded_drafts_as_well(tiny, sampled):
    """Wider, its padding is never drafted; narrower, it reads and drafts what it has."""
    ids, policy = torch.arange(20) * 7 % 250, Streaming(budget=16, sinks=4)

    def decoded(target, draft) -> tuple[list[int], list[int]]:
        size = target.config.vocab_size
        rule = Sampled(4, size, 1e-4, 3, target.device) if sampled else Greedy()
        text, kept = speculate(speculator(target, draft, policy, 4, rule), ids, 60)
        return text.tolist(), kept

    text, kept = decoded(tiny, near(tiny, 1))
    assert decoded(tiny, padded(near(tiny, 1), 320)) == (text, kept) and sum(kept) > 0
    target = padded(tiny, 320)
    target.lm_head.weight[256:] = -target.lm_head.weight[:64].abs()
    narrow, _ = decoded(target, tiny)
    assert narrow == decoded(target, target)[0]


@settings(max_examples=10, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 1000), length=st.integers(4, 40))
def test_agreement_is_what_rounds_of_one_draft_find(shape, seed, length):
    target, ids = model_and_text(shape, seed, length)
    draft, policy = near(target, seed), Streaming(budget=8, sinks=2)
    evaluators = (Evaluator(target, 7), Evaluator(draft, 7))
    same, shared = agreement(*evaluators, ids, policy.visibility(0))
    rounds = speculator(target, draft, policy, 1, Greedy())
    rounds.prefill(ids[:-1], 1)
    rounds.pair.copy_(ids[-2:])
    assert same[-1] == rounds.round().accepted
    decoders = (BlockDecoder(model, policy, Evaluator(model, 9), 1) for model in (target, draft))
    p, q = (decoder.prefill(ids, 1).softmax(-1) for decoder in decoders)
    torch.testing.assert_close(shared[-1], 1 - (p - q).abs().sum() / 2, atol=1e-7, rtol=0)
