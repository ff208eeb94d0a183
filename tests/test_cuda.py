"""On a CUDA device: evaluator and engines give the reference's NLLs, and agree on real text near and far."""

import os
import subprocess
import sys

import pytest
import torch
from helpers import FIXTURE, ROOT, RULES, TOLERANCE, decode, largest_gap, visibility_of
from sinkbench import engines
from sinkbench.artifacts.parquet import read_table
from sinkbench.attention.evaluator import Evaluator
from sinkbench.attention.masked_kernels import MaskedKernel
from sinkbench.engines import static
from sinkbench.engines.decode import decode_logits, generate, greedy
from sinkbench.engines.fused import engine as fused
from sinkbench.engines.speculation.block_decoder import BlockDecoder
from sinkbench.engines.speculation.lookup import LookupSpeculator
from sinkbench.engines.speculation.speculator import Speculator, speculate
from sinkbench.engines.speculation.verification import Greedy, Sampled
from sinkbench.engines.table import ENGINES as ENGINE_ROWS
from sinkbench.engines.table import engine_row
from sinkbench.errors import Unavailable
from sinkbench.measure import speed
from sinkbench.model.hf_attention import stock_hidden
from sinkbench.model.loading import load_model
from sinkbench.policies import build
from sinkbench.policies.dense import Policy as Dense
from sinkbench.policies.streaming import Policy as Streaming
from sinkbench.quantization.table import format_row
from sinkbench.runtime.cuda_graph import WARM_UPS, capture
from sinkbench.text.corpora import documents
from sinkbench.text.tokens import load_tokenizer
from speed_jobs import SETTINGS

pytestmark = pytest.mark.cuda
TEXT = {"name": "stdlib", "kind": "stdlib", "modules": ["_pydecimal", "turtle", "inspect", "typing", "pydoc"]}
RING = Streaming(budget=512, sinks=4)
WINDOW = 512  # tokens: what the demonstration model was trained on
FAR = 1_000_000
# Engine and tokens decoded with its ring: slow ones fewer.
ENGINES = {"eager": 1024, "compiled": 1024, "graph": 4096, "compiled_graph": 4096, "fused": 4096}
FAR_ENGINES = [word for word in ENGINES if word not in ("compiled", "graph")]
MODES = ["static", "compiled_tuned", "compiled_tuned_graph", "compiled_autotune", "compiled_reduce_overhead"]
KERNELS = ["eager_math", "eager_efficient", "eager_flash", "eager_cudnn", "eager_flex"]
RING_ENGINES = ENGINES | dict.fromkeys([*MODES, *KERNELS], 1024)
STOCK = ["hf", "hf_eager", "hf_flash", "hf_efficient", "hf_math", "hf_static"]
GROWING = ["growing", "compiled_growing", "compiled_dynamic"]
# These kernels of torch's are for half precision alone.
HALF_ONLY = ["hf_flash", "eager_flash", "eager_cudnn", "paper_flash"]


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
    nll = Evaluator(models["float32"], chunk_tokens).stream(ids, visibility_of(rule))
    assert largest_gap(nll.cpu(), known[rule]) < TOLERANCE


def test_evaluator_dense(models, known, ids):
    assert largest_gap(Evaluator(models["float32"], 128).dense(ids).cpu(), known["dense"]) < TOLERANCE


@pytest.mark.parametrize("start", [1, 30, 200])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("word", ["eager", "graph"])
def test_ring(models, known, ids, word, rule, start):
    visibility = visibility_of(rule)
    policy = Streaming(budget=visibility.budget, sinks=visibility.sinks)
    engine = engines.build(engine_row(word), models["float32"], policy, Evaluator(models["float32"], 128))
    assert largest_gap(decode(engine, ids, start).cpu(), known[rule][start - 1 :]) < TOLERANCE


def test_half_precision_is_no_worse_than_stock(models, known, ids):
    """Mean |NLL in bf16 - NLL in float32|: at most 1.5 times that of transformers' own dense pass."""
    dense = [Evaluator(models[dtype], 128).dense(ids) for dtype in ("bfloat16", "float32")]
    assert (dense[0] - dense[1]).abs().mean() <= 1.5 * stock_half_gap(models, ids[None])


def stock_half_gap(models, windows: torch.Tensor) -> float:
    """Mean |NLL in bfloat16 - NLL in float32| of transformers itself, over windows [batch, tokens]."""
    pair = (models[dtype] for dtype in ("bfloat16", "float32"))
    scores = [model.lm_head(stock_hidden(model, windows))[:, :-1].float() for model in pair]
    nll = [torch.nn.functional.cross_entropy(part.mT, windows[:, 1:], reduction="none") for part in scores]
    return float((nll[0] - nll[1]).abs().mean())


@pytest.fixture(scope="module")
def demo():
    source = {"source": "folder", "path": str(ROOT / "resources/demo-model")}
    return {dtype: load_model(source | {"dtype": dtype}, "cuda") for dtype in ("float32", "bfloat16")}


@pytest.fixture(scope="module")
def text():
    """Modules of the standard library, each after the token that all training texts began with."""
    tokenizer = load_tokenizer(ROOT / "resources/demo-model/tokenizer.json")
    whole = "".join(f"<|endoftext|>{body}" for _, body in documents(TEXT))
    return torch.tensor(tokenizer.encode(whole, add_special_tokens=False).ids, device="cuda")


@pytest.fixture(scope="module")
def stock_gap(demo, text):
    return stock_half_gap(demo, text[: 8 * WINDOW].view(8, WINDOW))


def check_gap(decoded: torch.Tensor, exact: torch.Tensor, dtype: str, stock_gap: float) -> None:
    """Against the evaluator in float32; half precision may cost what it costs transformers, and half more."""
    gap = float((decoded - exact).abs().mean())
    limit = 1e-4 if dtype == "float32" else 1.5 * stock_gap
    print(f"{dtype}: mean NLL gap {gap:.2e}, limit {limit:.2e}, stock bfloat16 {stock_gap:.2e} nats")
    assert len(decoded) > 0
    assert gap <= limit


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("word", RING_ENGINES)
def test_ring_engines_on_real_text(demo, text, stock_gap, word, dtype):
    """From within the fill phase to long after it."""
    start = 256
    ids = text[: start + RING_ENGINES[word]]
    exact = Evaluator(demo["float32"], 1024).stream(ids, RING.visibility(0))[start - 1 :]
    engine = engines.build(engine_row(word), demo[dtype], RING, Evaluator(demo[dtype], 1024))
    check_gap(decode_or_skip(engine, ids, start, word, dtype), exact, dtype, stock_gap)


def decode_or_skip(engine, ids: torch.Tensor, start: int, word: str, dtype: str) -> torch.Tensor:
    """NLLs; a kernel for half precision alone refuses float32, and says why."""
    try:
        return decode(engine, ids, start)
    except Unavailable as error:
        assert word in HALF_ONLY and dtype == "float32", error
        assert "Float" in str(error), error  # in torch's words, such as "... {Half, BFloat16}, but got Float"
        pytest.skip(str(error))


@pytest.mark.parametrize("word", [*ENGINES, *MODES])
def test_logits_are_in_float32_whatever_the_model_is_in(demo, text, word):
    engine = engines.build(engine_row(word), demo["bfloat16"], RING, Evaluator(demo["bfloat16"], 1024))
    scores = [engine.prefill(text[None, :256], max_new_tokens=2), engine.step(text[256:257])]
    assert {part.dtype for part in scores} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("word", ["paper", "paper_flash"])
def test_reference_formulation_on_real_text(demo, text, stock_gap, word, dtype):
    """A first block of queries, and single ones of a full cache."""
    ids, start = text[:1024], 256
    exact = Evaluator(demo["float32"], 1024).stream(ids, RING.visibility(0))[start - 1 :]
    engine = engines.build(engine_row(word), demo[dtype], RING, Evaluator(demo[dtype], 1024))
    check_gap(decode_or_skip(engine, ids, start, word, dtype), exact, dtype, stock_gap)


REFRESHED = {
    "select": {"refresh_every": 16, "lookback": 508, "selected_tokens": 32},
    "repeat_lookup": {"refresh_every": 8, "lookback": 508, "selected_tokens": 32},
    "reprefill": {"refresh_every": 32, "lookback": 508},
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("word", ["eager", "graph", "compiled_graph", "fused"])
@pytest.mark.parametrize("name", REFRESHED)
def test_refreshed_caches_on_real_text(demo, text, stock_gap, name, word, dtype):
    """From within the fill phase on: a refresh rewrites what a captured step reads."""
    ids, start = text[:1024], 100
    policy = build(name, {"budget": 128, "sinks": 4, **REFRESHED[name]})
    exact = Evaluator(demo["float32"], 1024).refreshed(ids, policy)[start - 1 :]
    plain = Evaluator(demo["float32"], 1024).stream(ids, policy.visibility(0))[start - 1 :]
    engine = engines.build(engine_row(word), demo[dtype], policy, Evaluator(demo[dtype], 1024))
    check_gap(decode(engine, ids, start), exact, dtype, stock_gap)
    assert float((exact - plain).abs().mean()) > 10 * 1e-4  # or streaming would pass for it


def folder(name: str) -> dict:
    """A model of resources/ in float32."""
    return {"source": "folder", "path": str(ROOT / "resources" / name), "dtype": "float32"}


def wide_model(name: str):
    """A model of resources/ in float64."""
    return load_model(folder(name), "cuda").double()


@pytest.mark.parametrize("prompt_tokens", [256, 1000])  # the ring fills on the way, and is full
def test_greedy_speculation_in_a_graph_is_greedy_decoding(text, prompt_tokens):
    """Token for token, a round as one CUDA graph; in float64, so that no tie is near."""
    evaluators = [Evaluator(wide_model(name), 1024) for name in ("demo-model", "demo-draft")]
    for evaluator in evaluators:
        evaluator.kernel = MaskedKernel()  # flex attention has no float64
    prompt, count = text[:prompt_tokens], 400
    alone = engines.build(engine_row("graph"), evaluators[0].model, RING, evaluators[0])
    expected = generate(alone, prompt[None], count, greedy)[0]
    decoders = [BlockDecoder(evaluator.model, RING, evaluator, 5) for evaluator in evaluators]
    tokens, kept = speculate(Speculator(*decoders, 4, Greedy(), captured=True), prompt, count)
    assert torch.equal(tokens, expected)
    assert len(set(kept)) > 1  # drafts were kept, and taken back


def test_a_lookup_in_graphs_is_greedy_decoding(text):
    """Two passes are captured in the first round, and both serve."""
    evaluator, prompt, count = Evaluator(wide_model("demo-model"), 1024), text[:700], 200
    evaluator.kernel = MaskedKernel()  # flex attention has no float64
    alone = engines.build(engine_row("graph"), evaluator.model, RING, evaluator)
    expected = generate(alone, prompt[None], count, greedy)[0]
    own = LookupSpeculator(BlockDecoder(evaluator.model, RING, evaluator, 5), 4, Greedy(), captured=True)
    tokens, kept = speculate(own, prompt, count)
    assert torch.equal(tokens, expected)
    assert set(own.passes) == {0, 4} and sum(kept) > 0


@pytest.mark.parametrize("prompt_tokens", [256, 1000])
@pytest.mark.parametrize("rule", ["greedy", "sampled"])
def test_speculation_in_the_fused_kernels_keeps_to_the_target(text, rule, prompt_tokens):
    """In float32 every id is the likeliest of float64, up to rounding; a draw is at least possible."""
    wide = [wide_model(name) for name in ("demo-model", "demo-draft")]
    evaluators = [Evaluator(load_model(folder(name), "cuda"), 1024) for name in ("demo-model", "demo-draft")]
    prompt, count = text[:prompt_tokens], 400
    vocabulary = wide[0].config.vocab_size
    chosen = Greedy() if rule == "greedy" else Sampled(4, vocabulary, 1.0, 0, prompt.device)
    blocks = engines.blocks(engine_row("fused"))
    decoders = [BlockDecoder(each.model, RING, each, 5, blocks) for each in evaluators]
    tokens, kept = speculate(Speculator(*decoders, 4, chosen, captured=True), prompt, count)
    assert len(set(kept)) > 1
    exact = Evaluator(wide[0], 1024)
    exact.kernel = MaskedKernel()
    judge = engines.build(engine_row("graph"), wide[0], RING, exact)
    whole = torch.cat((prompt, tokens))[None]
    scores = torch.cat([given.clone() for given in decode_logits(judge, whole, prompt_tokens)])
    lost = scores.amax(1) - scores.gather(1, tokens[:, None])[:, 0]
    assert lost.max() < (1e-3 if rule == "greedy" else 16)
    if rule == "sampled":
        surprise = torch.log_softmax(scores, 1)
        entropy = -(surprise.exp() * surprise).sum(1).mean()
        assert abs(-surprise.gather(1, tokens[:, None]).mean() - entropy) < 0.5


def test_reduce_overhead_records_graphs_and_keeps_them(models, known, ids):
    """Three for a ring: where a token stands, filling and full; torch raises where it would record none."""
    counters = torch._dynamo.utils.counters
    policy, skips = Streaming(budget=32, sinks=4), counters["inductor"]["cudagraph_skips"]
    word = "compiled_reduce_overhead"
    engine = engines.build(engine_row(word), models["float32"], policy, Evaluator(models["float32"], 128))
    first = decode(engine, ids, 2)
    assert largest_gap(first.cpu(), known["sinks4_window28"][1:]) < TOLERANCE
    cost = engine.compilation.notes()
    engine.reset()
    torch.testing.assert_close(decode(engine, ids, 2), first)
    assert engine.compilation.notes() == cost and cost["graphs"] == 3
    assert counters["inductor"]["cudagraph_skips"] == skips


@pytest.mark.parametrize("word", ["eager", "eager_flash", "static", "graph", "paper", "growing", "hf_static"])
def test_no_step_waits_for_the_device(models, ids, word):
    """Nothing is copied from or to the host between two steps, so that the host may run ahead."""
    row, model = engine_row(word), models["bfloat16"]
    policy = Streaming(budget=32, sinks=4) if "ring" in ENGINE_ROWS[word].caches else Dense(400)
    engine = engines.build(row, model, policy, Evaluator(model, 64))
    tokens = greedy(engine.prefill(ids[None, :60], max_new_tokens=6))
    for _ in range(3):
        tokens = greedy(engine.step(tokens))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            tokens = greedy(engine.step(tokens))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_static_cache_is_in_a_graph_and_compiled_once_for_each_room(models, known, ids):
    """Another cache of the same room, wherever it lies, records at most a graph; torch raises for none."""
    counters = torch._dynamo.utils.counters
    skips, kept, graphs = counters["inductor"]["cudagraph_skips"], [], []
    engine = engines.build(
        engine_row("hf_static"), models["float32"], Dense(400), Evaluator(models["float32"], 64)
    )
    for length in (60, 60, 200, 60):
        decoded = decode(engine, ids[:length], 20)
        assert largest_gap(decoded.cpu(), known["dense"][19 : length - 1]) < TOLERANCE
        graphs.append(engine.compilation.graphs)
        engine.reset()
        kept.append(torch.zeros(2**20, device="cuda"))  # where the cache was
    assert graphs == [1, 1, 2, 2]
    assert counters["inductor"]["cudagraph_skips"] == skips


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("word", [*RING_ENGINES, *STOCK, *GROWING])
def test_dense_engines_on_real_text(demo, text, stock_gap, word, dtype):
    """As far as the model was trained: beyond, dense attention explodes and rounding with it."""
    ids, start = text[:WINDOW], 64
    exact = Evaluator(demo["float32"], 1024).dense(ids)[start - 1 :]
    engine = engines.build(
        engine_row(word), demo[dtype], Dense(max_tokens=WINDOW), Evaluator(demo[dtype], 1024)
    )
    check_gap(decode_or_skip(engine, ids, start, word, dtype), exact, dtype, stock_gap)


@pytest.fixture(scope="module")
def far(demo, text):
    """A million tokens and 65 more: exact NLLs of the last 65, and what a prefill of the million leaves."""
    ids = text.repeat(-(-(FAR + 65) // len(text)))[: FAR + 65]
    evaluator = Evaluator(demo["float32"], 8192)
    exact = evaluator.stream(ids, RING.visibility(0))[FAR - 1 :]
    return ids, exact, evaluator.prefill(ids[:FAR], RING.visibility(0))


@pytest.mark.parametrize("word", FAR_ENGINES)
def test_a_million_tokens_down_the_stream(demo, far, monkeypatch, word):
    ids, exact, prefilled = far
    evaluator = Evaluator(demo["float32"], 8192)
    monkeypatch.setattr(evaluator, "prefill", lambda *_: prefilled)  # once for all engines
    decoded = decode(engines.build(engine_row(word), demo["float32"], RING, evaluator), ids, FAR)
    check_gap(decoded, exact, "float32", 0.0)


@pytest.mark.parametrize(
    ("word", "module", "count"), [("graph", static, 2), ("compiled_graph", static, 2), ("fused", fused, 1)]
)
def test_a_second_prefill_captures_and_compiles_nothing(models, known, ids, monkeypatch, word, module, count):
    captured, counters = [], torch._dynamo.utils.counters["stats"]
    monkeypatch.setattr(module, "capture", lambda *a, **k: captured.append(a) or capture(*a, **k))
    policy = Streaming(budget=32, sinks=4)
    engine = engines.build(engine_row(word), models["float32"], policy, Evaluator(models["float32"], 128))
    first = decode(engine, ids, 2)
    assert largest_gap(first.cpu(), known["sinks4_window28"][1:]) < TOLERANCE
    compiled = counters["unique_graphs"]
    engine.reset()
    assert largest_gap(decode(engine, ids, 2).cpu(), known["sinks4_window28"][1:]) < TOLERANCE
    assert len(captured) == count
    assert counters["unique_graphs"] == compiled


def test_a_growing_cache_gives_its_memory_back(demo, text):
    engine = engines.build(
        engine_row("graph"), demo["float32"], Dense(max_tokens=9000), Evaluator(demo["float32"], 1024)
    )
    held = []
    for length in (8000, 300, 8000, 300):
        engine.reset()
        held.append(torch.cuda.memory_allocated())
        decode(engine, text[: length + 4], length)
    assert engine.ring.visibility.budget == 1023
    assert max(held[1:]) - min(held[1:]) < 2**20  # the first decode leaves libraries' workspaces


def test_a_graph_keeps_to_its_own_memory_when_torch_frees_workspaces():
    """Torch frees those of the whole process whenever a compiled function records a graph."""
    row = torch.ones(4, 65536, device="cuda").bfloat16()
    matrix = torch.ones(65536, 64, device="cuda").bfloat16()
    replay = capture(lambda: (row @ matrix, torch.nn.functional.linear(row, matrix.T.contiguous())))
    expected = [part.clone() for part in replay()]
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    taken = [
        torch.full((size,), 7, dtype=torch.uint8, device="cuda") for size in [2**20] * 256 + [2**25] * 16
    ]
    for _ in range(8):
        assert all(map(torch.equal, replay(), expected))
    assert all(bool((part == 7).all()) for part in taken)


def test_a_graph_that_nobody_reaches_is_not_destroyed_in_a_capture():
    """That would end the capture; a round of drafts is reached by itself, so the collector frees it."""
    row, calls = torch.ones(4, device="cuda"), []
    old = [capture(lambda: row * 2)]

    def step():
        calls.append(1)
        if len(calls) > WARM_UPS:
            cycle = [old.pop()]
            cycle.append(cycle)
            del cycle
            [[] for _ in range(10_000)]  # enough for a collection of what is young
        return row * 3

    assert bool((capture(step)() == 3).all())


@pytest.mark.parametrize("word", ["none", "int8", "torchao_int8", "torchao_int4"])
@pytest.mark.parametrize("engine", ["graph", "fused"])
def test_timed_engines_are_scored_against_float32(tokens_path, tmp_path, engine, word):
    """In bfloat16."""
    if engine == "fused" and word.startswith("torchao"):
        pytest.skip("fused reads plain weights and the project's own formats")
    model = {"source": "folder", "path": str(ROOT / "resources/demo-model"), "dtype": "bfloat16"}
    rows = {"engine": engine_row(engine), "quantization": format_row(word)}
    speed.measure(
        SETTINGS | rows | {"model": model, "device": "cuda"}, tokens_path, tmp_path / "steps.parquet"
    )
    notes = read_table(tmp_path / "steps.parquet")[1]
    if notes["status"].startswith("unavailable: torchao"):
        pytest.skip(notes["status"])
    assert notes["status"] == "ok"
    found = notes["score"]["float32"]
    print(f"{engine} {word}: {notes['score']}")
    if word == "torchao_int4":
        assert "cannot be dequantised" in found["status"]
    else:
        assert 0 < found["mean_gap"] < 0.05 and found["top_token_agreement"] > 0.8
        assert 0 < found["kl_divergence"] < 0.01


def test_out_of_memory_is_not_called_unavailable():
    with pytest.raises(torch.OutOfMemoryError):
        capture(lambda: torch.empty(2**46, dtype=torch.uint8, device="cuda"))


def test_a_failed_capture_is_unavailable():
    """In a process of its own, since it may leave the device's state spoilt."""
    body = (
        "import torch\nfrom sinkbench.runtime.cuda_graph import capture\n"
        "from sinkbench.errors import Unavailable\n"
        "try:\n    capture(lambda: torch.ones(1, device='cuda').item())\n"
        "except Unavailable as error:\n    print('refused:', error)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    run = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, env=environment)
    assert run.stdout.startswith("refused: no CUDA graph: "), run.stderr
