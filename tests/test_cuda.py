"""On a CUDA device: the compiled evaluator and the ring give the reference's NLLs, and bf16 stays close."""

import pytest
import torch
from sinkbench import engines
from sinkbench.models import load_model
from sinkbench.policies.streaming import Policy as Streaming
from sinkbench.scorer import Scorer
from test_known_answers import FIXTURE, RULES, TOLERANCE, decode, largest_gap, visibility_of

pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def compiled_anew():
    """Every test brings its own shapes, and compiled kernels are kept for a few of them only."""
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def models():
    source = {"source": "folder", "path": FIXTURE}
    return {dtype: load_model(source | {"dtype": dtype}, "cuda") for dtype in ("float32", "bfloat16")}


@pytest.fixture(scope="module")
def ids(known):
    return torch.from_numpy(known["tokens"].astype("int64")).cuda()


@pytest.mark.parametrize("chunk_tokens", [128])
@pytest.mark.parametrize("rule", RULES)
def test_evaluator(models, known, ids, rule, chunk_tokens):
    nll = Scorer(models["float32"], chunk_tokens).stream(ids, visibility_of(rule))
    assert largest_gap(nll.cpu(), known[rule]) < TOLERANCE


def test_evaluator_dense(models, known, ids):
    assert largest_gap(Scorer(models["float32"], 128).dense(ids).cpu(), known["dense"]) < TOLERANCE


@pytest.mark.parametrize("start", [1, 30, 200])
@pytest.mark.parametrize("rule", RULES)
def test_ring(models, known, ids, rule, start):
    visibility = visibility_of(rule)
    policy = Streaming(budget=visibility.budget, sinks=visibility.sinks)
    engine = engines.build("eager", models["float32"], policy, Scorer(models["float32"], 128))
    assert largest_gap(decode(engine, ids, start).cpu(), known[rule][start - 1 :]) < TOLERANCE


def test_half_precision_is_no_worse_than_stock(models, known, ids):
    """Mean |NLL in bf16 - NLL in float32|: at most 1.5 times that of transformers' own dense pass."""

    def stock(model):
        scores = model(ids[None]).logits[0, :-1].float()
        return torch.nn.functional.cross_entropy(scores, ids[1:], reduction="none")

    dense = [Scorer(models[dtype], 128).dense(ids) for dtype in ("bfloat16", "float32")]
    theirs = (stock(models["bfloat16"]) - stock(models["float32"])).abs().mean()
    assert (dense[0] - dense[1]).abs().mean() <= 1.5 * theirs
