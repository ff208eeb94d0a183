"""Synthetic measurements with the shape and the effects of a real study."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from sinkbench.analysis.select import run_name
from sinkbench.results.schema import DISTURBED, RowRecorder, load_schema
from sinkbench.study.pairs import baselines

SCHEMA = Path(__file__).parent.parent / "workflow/schemas/measurements.schema.yaml"
FULL = 512
POSITIONS = [512, 1024, 2048, 4096, 8192]
DOCUMENTS = {"_pydecimal": 0.8, "turtle": 1.4, "inspect": 1.0}
DENSE_TOKENS, DOCUMENT_TOKENS, BIN = 4096, 16384, 256
FIELDS = {
    "claims": ["perplexity", "speedup", "sinks", "explosion", "flatness", "sweep"],
    "confidence": "95",
    "block_tokens": 256,
    "position_bin": BIN,
    "passage_tokens": 64,
    "repetitions": 5,
    "steps": 32,
    "device": "cpu",
    "model_name": "toy",
    "published": [
        {
            "model": model,
            "text": "a text",
            "corpus": "stdlib",
            "method": "streaming-4+508",
            "first": 1,
            "last": 8,
            "predictions": 8,
            "measure": "perplexity",
            "value": 14.0,
            "tolerance": 0.01,
            "source": "somebody",
        }
        for model in ("toy", "another")
    ],
}
# policy, sinks, budget: perplexity, percent of change, and what the change is against
METHODS = {
    ("recompute", 4, 512): (14.10, None, None),
    ("recompute", 0, 512): (14.44, 2.4, "recompute-4+508"),
    ("dense", None, None): (700.0, 4880.0, "streaming-4+508"),
    ("window", 0, 512): (14.40, 2.5, "streaming-4+508"),
    ("window", 0, 256): (15.60, 11.0, "streaming-4+508"),
    ("window", 0, 128): (18.30, 30.2, "streaming-4+508"),
    ("window", 0, 64): (22.00, 56.6, "streaming-4+508"),
    ("streaming", 4, 512): (14.05, -0.1, "recompute-4+508"),
    ("streaming", 4, 256): (14.48, 3.1, "streaming-4+508"),
    ("streaming", 4, 128): (15.90, 13.2, "streaming-4+508"),
    ("streaming", 4, 64): (18.00, 28.1, "streaming-4+508"),
}
# The refresh family: policy, method, period; budget, percent of change against streaming at that budget.
REFRESHED = {
    ("select", "select-4+92+32-r4-h508-q1-p7", 4): (128, -6.0),
    ("select", "select-4+188+64-r4-h508-q1-p7", 4): (256, -1.5),
    ("reprefill", "reprefill-4+124-r32-h508", 32): (128, 0.4),
    ("lazy", "lazy-4+108-r32", 32): (112, -0.1),
}
# Nats that a passage saves its repetition, by distance.
DISTANCES = (128, 384, 768)
RECALL = {
    ("dense", None, None): (1.9, 1.6, 0.9),
    ("window", 0, 256): (2.1, 0.01, 0.0),
    ("streaming", 4, 512): (1.9, 1.6, 0.11),
    ("streaming", 4, 256): (1.9, 0.12, -0.09),
}
# Median share of attention to the first 1, 2, 4, 8 tokens, by layer.
SHARES = {0: (0.02, 0.04, 0.07, 0.1), 1: (0.4, 0.42, 0.45, 0.5), 2: (0.6, 0.61, 0.64, 0.7)}
PARTS = {
    "mlp": 0.1,
    "attention": 0.2,
    "projections": 0.05,
    "norms": 0.08,
    "head": 0.02,
    "other": 0.01,
    "attention_idle": 0.1,
    "idle": 0.44,
}
ENGINES = {"recompute": "fresh", "dense": "hf", "window": "eager", "streaming": "eager"}
# policy, sinks, budget, quantization, engine, batch: TPOT in ms, and the floor below it
LADDER = {
    ("streaming", 4, 512, "none", "paper", 1): (5.2, 0.5),
    ("streaming", 4, 512, "none", "compiled", 1): (2.1, 0.5),
    ("streaming", 4, 512, "none", "graph", 1): (1.1, 0.5),
    ("streaming", 4, 512, "none", "fused", 1): (0.6, 0.5),
    ("streaming", 4, 512, "none", "fused", 16): (2.4, 1.4),
    ("streaming", 4, 512, "int8_mlp", "fused", 1): (0.45, 0.36),
    ("streaming", 4, 512, "int4", "fused", 1): (0.3, 0.2),
    ("dense", None, None, "none", "hf_eager", 1): (2.4, 0.9),
    ("dense", None, None, "none", "fused", 1): (1.0, 0.9),
}
# method, drafts, draft_tokens, temperature: share of drafts that stay, tokens a round, ms a round
DRAFTS = {
    (("streaming", 4, 512), "model", 2, 0): (0.55, 1.8, 4.6),
    (("streaming", 4, 512), "model", 4, 0): (0.55, 2.2, 6.4),
    (("streaming", 4, 512), "lookup", 4, 0): (0.35, 1.4, 4.4),
    (("streaming", 4, 512), "model", 4, 1): (0.50, 2.0, 6.6),
    (("dense", None, None), "model", 4, 0): (0.45, 1.9, 8.8),
}
# The families compile and attention: policy, sinks, budget, engine; TPOT in ms, what it is compared with and
# the gain, seconds of compiling and graphs.
ABLATIONS = {
    ("compile", "streaming", 4, 512, "static"): (2.4, None, None),
    ("compile", "streaming", 4, 512, "compiled_tuned"): (2.0, ("streaming-4+508.static", 1.2), (16.0, 2)),
    ("compile", "streaming", 4, 512, "compiled_autotune"): (2.2, ("streaming-4+508.static", 1.1), (40.0, 2)),
    ("compile", "streaming", 4, 512, "compiled_graph"): (1.2, ("streaming-4+508.static", 2.0), (16.0, 2)),
    ("compile", "dense", None, None, "growing"): (2.9, None, None),
    ("compile", "dense", None, None, "compiled_growing"): (3.0, ("dense.growing", 0.97), (48.0, 8)),
    ("attention", "streaming", 4, 512, "eager_math"): (3.3, None, None),
    ("attention", "streaming", 4, 512, "eager_flash"): (2.8, None, None),
    ("attention", "streaming", 4, 512, "paper_flash"): (5.0, None, None),
}
# quantization, dtype: percent of change against the unquantized weights, or a status
QUANTIZED = {
    ("none", "float16"): 0.0,
    ("int8_mlp", "float32"): 0.1,
    ("int8", "float32"): 0.3,
    ("torchao_int8", "float32"): 0.2,
    ("torchao_int8", "float16"): "invalid: 9 NLLs are NaN or infinite, the first in turtle at position 3",
    ("int8", "float16"): 0.3,
    ("torchao_int4", "float32"): 4.0,
}
# quantization, engine: speed-up against the unquantized weights, bytes of a step of it per byte of theirs
GAINS = {
    ("int8_mlp", "eager"): (0.7, 0.7),
    ("torchao_int8", "eager"): (0.5, 0.6),
    ("torchao_int8", "compiled_graph"): (0.8, 0.6),
    ("int8", "fused"): (1.3, 0.6),
}
STEP_BYTES = 36e6
PROVENANCE = {
    "device": "NVIDIA H200",
    "driver": "580",
    "commit": "c0ffee",
    "dirty": False,
    "versions": "python 3.12.3, torch 2.13.0",
}
PROVENANCE |= {"seeds": "statistics 0", "model_sha256": "ab", "tokens_sha256": "cd"}
MADE: dict[str, pd.DataFrame] = {}  # by options
BUSY = DISTURBED + "another process on the GPU"


def measurements(**options) -> pd.DataFrame:
    """A study of the demo's size, with the options of `_measured`: a copy of one that is made once."""
    key = repr(sorted(options.items()))
    if key not in MADE:
        MADE[key] = _measured(**options)
    return MADE[key].copy()


def _measured(
    quality: bool = True,
    speed: bool = True,
    failed: dict[str, str] | None = None,
    corpora: tuple = ("stdlib",),
    ladder: bool = False,
    refresh: bool = False,
    ablations: bool = False,
    busy: tuple = (),
    drafts: bool = False,
    quantized: bool = False,
    cpu: bool = False,
) -> pd.DataFrame:
    """A study.

    Args:
        failed: status by the name of a method (its quality) or of a run (its speed), such as "invalid: ...".
        refresh: with the perplexities of REFRESHED.
        ablations: with the times of ABLATIONS.
        ladder: with the further engines, number formats and batches of LADDER.
        quantized: with the number formats of QUANTIZED, and the times of GAINS.
        busy: names of runs whose times were disturbed.
        drafts: with the runs of DRAFTS, on the engine eager.
        cpu: measured on a CPU, and not on a GPU.
    """
    recorder, failed = RowRecorder(load_schema(SCHEMA)), failed or {}
    for corpus in corpora if quality else ():
        for key in METHODS:
            _quality(recorder, key, {**_about(*key), "corpus": corpus}, failed)
    for key in RECALL if quality else ():
        _recall(recorder, key, {**_about(*key), "corpus": corpora[0]}, failed)
    if quality:
        _shares(recorder, {**_about("dense", None, None), "corpus": corpora[0]}, failed)
    for corpus, key in product(corpora if quality and refresh else (), REFRESHED):
        _refreshed(recorder, key, corpus, failed)
    for key in METHODS if speed else ():
        _speed(recorder, key, {**_about(*key), "engine": ENGINES[key[0]], "batch": 1}, failed)
    for key in ABLATIONS if speed and ablations else ():
        _ablation(recorder, key, failed)
    for key in LADDER if ladder else ():
        _rung(recorder, key, failed)
    for key in DRAFTS if drafts and speed else ():
        _speculation(recorder, key, failed)
    for corpus in corpora if quality and quantized else ():
        _quantized(recorder, corpus)
    for key in GAINS if speed and quantized else ():
        _gain(recorder, *key)
    frame = _disturbed(recorder.frame(), busy)
    return frame.assign(device="CPU (Intel)", driver=None) if cpu else frame


def whole(**options) -> pd.DataFrame:
    """A study on two corpora that measured something for every claim."""
    options = {"corpora": ("stdlib", "prose"), **options}
    return measurements(refresh=True, quantized=True, ablations=True, drafts=True, **options)


def _quantized(recorder: RowRecorder, corpus: str) -> None:
    for (quantization, dtype), change in QUANTIZED.items():
        about = {**_about("streaming", 4, FULL, quantization), "family": "quantization", "corpus": corpus}
        if dtype != about["dtype"]:
            about |= {"dtype": dtype, "method": f"{about['method']}-{dtype}"}
        if isinstance(change, str):
            recorder.add({**about, "status": change}, "perplexity", None)
            continue
        _add(recorder, about, "perplexity", 14.05 * (1 + change / 100), 0.04)
        _changes(recorder, about, {"streaming-4+508": change}, {}, 0.05, 0.05)


def _changes(
    recorder: RowRecorder, about: dict, measured: dict, failed: dict, below: float = 0.4, above: float = 0.5
) -> None:
    """Of a method against the baseline that METHODS names, and against the others that it is paired with.

    Args:
        measured: percent of change by the baseline's name.
    """
    (named, change), own = next(iter(measured.items())), about["method"]
    methods = {_about(*key)["method"]: _about(*key) | {"perplexity_against": None} for key in METHODS}
    methods[own] = about | {"perplexity_against": named}
    factors = _factors()
    factors.setdefault(own, factors[named] * (1 + change / 100) if named else 1.0)
    for against in baselines(methods)[own]:
        if against not in failed and against in factors:
            value = round(100 * (factors[own] / factors[against] - 1), 6)
            ends = {"low": value - below, "high": value + above}
            recorder.add(about, "perplexity_change", value, **ends, n=9000, against=against)


def _factors() -> dict[str, float]:
    """Perplexity of each of METHODS as a multiple of the first's."""
    names = {_about(*key)["method"]: how for key, how in METHODS.items()}
    found = {name: 1.0 for name, (_, _, against) in names.items() if against is None}
    while len(found) < len(names):
        found |= {
            name: found[against] * (1 + change / 100)
            for name, (_, change, against) in names.items()
            if against in found
        }
    return found


def _gain(recorder: RowRecorder, quantization: str, engine: str) -> None:
    """A quantized run and, on another engine than those of all studies, its unquantized twin."""
    speedup, share = GAINS[quantization, engine]
    about = {**_about("streaming", 4, FULL, quantization), "family": "quantization", "engine": engine}
    here = {**about, "batch": 1, "position_kind": "position", "position": POSITIONS[-1]}
    _times(recorder, here, 3.0 / speedup, 0.5)
    recorder.add(here, "bytes_per_step", share * STEP_BYTES)
    recorder.add(here, "peak_memory_bytes", share * 4e8, n=5)
    _add(recorder, here, "speedup", speedup, 0.03, against=f"streaming-4+508.{engine}")
    _gaps(recorder, {name: value for name, value in here.items() if not name.startswith("position")})
    if engine != "eager":
        twin = {**here, **_about("streaming", 4, FULL)}
        _times(recorder, twin, 3.0, 0.5)
        recorder.add(twin, "bytes_per_step", STEP_BYTES)
        _gaps(recorder, {name: value for name, value in twin.items() if not name.startswith("position")})


def _disturbed(frame: pd.DataFrame, busy: tuple) -> pd.DataFrame:
    times = frame["metric"].isin(["tpot_ms", "step_p50_ms", "tokens_per_s", "mbu", "speedup"])
    runs = np.array([run_name(row) in busy for row in frame.to_dict("records")], dtype=bool)
    frame.loc[times & runs, "status"] = BUSY
    return frame


def edited(frame: pd.DataFrame, metric: str, value: float, width: float = 0.0, **where) -> pd.DataFrame:
    """The measurements with some numbers replaced by `value` and an interval of `width` to both sides."""
    chosen = frame["metric"] == metric
    for column, wanted in where.items():
        chosen &= (frame[column] == wanted).fillna(False).astype(bool)
    assert chosen.any(), (metric, where)
    frame = frame.copy()
    frame.loc[chosen, ["value", "low", "high"]] = [value, value - width, value + width]
    return frame


def _about(policy: str, sinks: int | None, budget: int | None, quantization: str = "none") -> dict:
    method = policy if budget is None else f"{policy}-{sinks}+{budget - sinks}"
    method += "" if quantization == "none" else f"-{quantization}"
    family = "streaming" if policy == "streaming" else "baseline"
    columns = {"study": "demo", "family": family, "method": method, "policy": policy, "budget": budget}
    formats = {"sinks": sinks, "dtype": "float32", "quantization": quantization}
    return {**columns, **formats, **PROVENANCE}


def _quality(recorder: RowRecorder, key: tuple, about: dict, failed: dict[str, str]) -> None:
    if about["method"] in failed:
        recorder.add({**about, "status": failed[about["method"]]}, "perplexity", None)
        return
    level, change, against = METHODS[key]
    _add(recorder, about, "perplexity", level, 0.04)
    for document, factor in DOCUMENTS.items():
        _add(recorder, about, "perplexity", level * factor, 0.06, document=document)
    if key[0] != "dense":
        _add(recorder, about, "perplexity_paired", 0.93 * level, 0.25)
    _changes(recorder, about, {against: change}, failed)
    _bins(recorder, key, about, level)
    _trained(recorder, about, 13.0 if key[0] == "dense" else level, level)


def _refreshed(recorder: RowRecorder, key: tuple, corpus: str, failed: dict[str, str]) -> None:
    (policy, method, period), (budget, change) = key, REFRESHED[key]
    about = {**_about(policy, 4, budget), "method": method, "family": "refresh", "corpus": corpus}
    if method in failed:
        recorder.add({**about, "status": failed[method]}, "perplexity", None)
        return
    around = {"against": f"streaming-4+{124 if policy == 'lazy' else budget - 4}", "n": 9000}
    _changes(recorder, about, {around["against"]: change}, failed)
    for document in DOCUMENTS:
        ends = {"low": change - 0.4, "high": change + 0.5, "document": document}
        recorder.add(about, "perplexity_change", change, **ends, **around)
    for phase in range(0, period, max(1, period // 8)):
        value = change * (1 - phase / period)
        here = {"position_kind": "phase", "position": phase, "low": value - 1, "high": value + 1}
        recorder.add(about, "perplexity_change_phase", value, **here, **around)


def _recall(recorder: RowRecorder, key: tuple, about: dict, failed: dict[str, str]) -> None:
    if about["method"] in failed:
        recorder.add({**about, "status": failed[about["method"]]}, "recall_saved", None)
        return
    for name, tokens in {"context": 64, "passage": 64, "trained": FULL}.items():
        recorder.add(about, f"recall_{name}_tokens", tokens)
    for distance, saved in zip(DISTANCES, RECALL[key], strict=True):
        here = {**about, "position_kind": "distance", "position": distance}
        recorder.add(here, "recall_saved", saved, saved - 0.03, saved + 0.03, n=32)
        _add(recorder, here, "recall_control", 3.5, 0.1, n=32)


def _shares(recorder: RowRecorder, about: dict, failed: dict[str, str]) -> None:
    for layer, shares in SHARES.items() if about["method"] not in failed else ():
        for first, share in zip((1, 2, 4, 8), shares, strict=True):
            here = {**about, "layer": layer, "position_kind": "first", "position": first, "n": 4}
            for name, factor in {"min": 0.5, "median": 1, "max": 1.3}.items():
                recorder.add(here, f"sink_share_{name}", factor * share)


def _bins(recorder: RowRecorder, key: tuple, about: dict, level: float) -> None:
    length = DENSE_TOKENS if key[0] == "dense" else DOCUMENT_TOKENS
    for position in range(0, length, BIN):
        wave = 1 + 0.15 * ((position // BIN * 7919) % 13 - 6) / 6
        base = 13.0 if key[0] == "dense" and position < FULL else level
        growth = min(1.0, position / 3000) if key[0] == "dense" and position >= FULL else 1.0
        count = 64 if key[0] == "recompute" else 3 * BIN
        where = {"position_kind": "bin", "position": position, "n": count}
        _add(recorder, about, "perplexity_bin", base * wave * growth, 0.12, **where)


def _trained(recorder: RowRecorder, about: dict, within: float, beyond: float) -> None:
    where = {"position_kind": "trained", "position": FULL}
    sides = {"perplexity_within": within, "perplexity_beyond": beyond}
    for metric, value in (sides | {"perplexity_beyond_ratio": beyond / within}).items():
        _add(recorder, about, metric, value, 0.12, **where)
    recorder.add(about, "block_autocorrelation", 0.1, -0.1, 0.3, n=9000)


def _speed(recorder: RowRecorder, key: tuple, about: dict, failed: dict[str, str]) -> None:
    run = f"{about['method']}.{about['engine']}"
    if run in failed:
        recorder.add({**about, "status": failed[run]}, "tpot_ms", None)
        return
    policy, _, budget = key
    kind = {"recompute": "budget", "dense": "context"}.get(policy, "position")
    for point in [FULL] if policy == "recompute" else POSITIONS:
        here = {**about, "position_kind": kind, "position": point}
        tpot = {"recompute": 90.0, "dense": 2.6 + 6.4 * point / 8192}.get(
            policy, 2.9 + 0.1 * (budget or 0) / FULL
        )
        _times(recorder, here, tpot, 0.5)
        keys = {"recompute": 0, "dense": point}.get(policy, budget)
        recorder.add(here, "cache_bytes", keys * 12288, n=5)
        recorder.add(here, "bytes_per_step", STEP_BYTES + keys * 12288)
        recorder.add(here, "peak_memory_bytes", 4e8 + point * (6e4 if policy == "dense" else 1e3), n=5)
        if policy in ("window", "streaming") and "dense.hf" not in failed:
            _add(recorder, here, "speedup", (2.6 + 6.4 * point / 8192) / tpot, 0.03, against="dense.hf")
            _add(recorder, here, "speedup", 90.0 / tpot, 0.03, against="recompute-0+512.fresh")
    _gaps(recorder, about)
    _profile(recorder, {**about, "position_kind": kind, "position": FULL}, tpot)


def _rung(recorder: RowRecorder, key: tuple, failed: dict[str, str]) -> None:
    """A run of the ladder: no slower anywhere along the stream."""
    *method, engine, batch = key
    about = {**_about(*method), "engine": engine, "batch": batch}
    if run_name(about) in failed:
        recorder.add({**about, "status": failed[run_name(about)]}, "tpot_ms", None)
        return
    kind, (tpot, floor) = "context" if method[0] == "dense" else "position", LADDER[key]
    for point in POSITIONS:
        here = {**about, "position_kind": kind, "position": point}
        _times(recorder, here, tpot, floor)
        recorder.add(here, "peak_memory_bytes", 3e8, n=5)
        recorder.add(here, "cache_bytes", batch * 12288 * (point if method[0] == "dense" else FULL), n=5)
        _add(recorder, here, "speedup", batch * (2.6 + 6.4 * point / 8192) / tpot, 0.03, against="dense.hf")
    _gaps(recorder, about)


def _speculation(recorder: RowRecorder, key: tuple, failed: dict[str, str]) -> None:
    (method, drafts, draft_tokens, temperature), (share, tokens, round_ms) = key, DRAFTS[key]
    lookup = "-lookup" if drafts == "lookup" else ""
    engine = f"eager{lookup}-k{draft_tokens}" + ("-t1" if temperature else "")
    about = {**_about(*method), "family": "speculation", "engine": engine, "batch": 1}
    about |= {"drafts": drafts, "draft_tokens": draft_tokens, "temperature": temperature}
    if run_name(about) in failed:
        recorder.add({**about, "status": failed[run_name(about)]}, "tpot_ms", None)
        return
    for point in POSITIONS:
        here = {
            **about,
            "position_kind": "context" if method[0] == "dense" else "position",
            "position": point,
        }
        read = here | {"corpus": "stdlib"}
        _add(recorder, read, "acceptance_rate", share, 0.1, n=300)
        _add(recorder, read, "tokens_per_step", tokens, 0.1, n=160)
        _add(recorder, read, "drafted_rounds", 0.4 if lookup else 1.0, 0.0, n=160)
        recorder.add(read, "loops", 2, n=8)
        _add(recorder, here, "round_ms", round_ms, 0.02, n=5)
        _add(recorder, here, "tpot_ms", round_ms / tokens, 0.1, n=5)
        own = f"{about['method']}.eager"
        _add(recorder, here, "break_even_tokens", round_ms / 3.0, 0.03, n=5, against=own)
        _add(recorder, here, "speedup", tokens * 3.0 / round_ms, 0.1, n=5, against=own)
    _gaps(recorder, about)


def _ablation(recorder: RowRecorder, key: tuple, failed: dict[str, str]) -> None:
    family, *method, engine = key
    about = {**_about(*method), "family": family, "engine": engine, "batch": 1}
    if run_name(about) in failed:
        recorder.add({**about, "status": failed[run_name(about)]}, "tpot_ms", None)
        return
    tpot, compared, cost = ABLATIONS[key]
    here = {**about, "position_kind": "context" if method[0] == "dense" else "position", "position": 2048}
    _times(recorder, here, tpot, 0.5)
    if compared:
        _add(recorder, here, "speedup", compared[1], 0.01, against=compared[0])
    if cost:
        recorder.add(about, "compile_s", cost[0], n=cost[1])
        recorder.add(about, "compilations", cost[1])
    _gaps(recorder, about)


def _times(recorder: RowRecorder, here: dict, tpot: float, floor: float) -> None:
    _add(recorder, here, "tpot_ms", tpot, 0.02, n=5)
    for percentile, factor in {10: 0.95, 50: 0.98, 90: 1.05, 99: 1.3}.items():
        recorder.add(here, f"step_p{percentile}_ms", factor * tpot, n=160)
    _add(recorder, here, "tokens_per_s", here["batch"] * 1e3 / tpot, 0.02, n=5)
    _add(recorder, here, "floor_ms", floor, 0.01, n=5)
    _add(recorder, here, "mbu", floor / tpot, 0.02, n=5)


def _gaps(recorder: RowRecorder, about: dict) -> None:
    recorder.add(about, "nll_gap", 3.1e-7, n=128)
    recorder.add(about, "nll_gap_max", 2.9e-6, n=128)
    recorder.add(about, "nll_gap_float32", 4.7e-3, n=128)
    recorder.add(about, "nll_gap_float32_max", 3.9e-2, n=128)
    recorder.add(about, "top_token_agreement", 0.992, n=128)
    recorder.add(about, "kl_divergence", 6.1e-5, n=128)


def _profile(recorder: RowRecorder, here: dict, step_ms: float) -> None:
    for part, share in PARTS.items():
        _add(recorder, here, "part_ms", share * step_ms, 0.02, n=8, part=part)
    _add(recorder, here, "step_ms", step_ms, 0.02, n=5)
    stubbed = step_ms * (1 - PARTS["attention"] - PARTS["attention_idle"])
    _add(recorder, here, "step_without_attention_ms", stubbed, 0.02, n=5)
    recorder.add(here, "launches_per_step", 300, n=8)


def _add(recorder: RowRecorder, about: dict, metric: str, value: float, relative: float, **where) -> None:
    """A number with an interval of a relative width to both sides."""
    recorder.add(
        about, metric, value, value * (1 - relative), value * (1 + relative), **{"n": 16384, **where}
    )
