"""What the benchmarks share: the library on the path, and one line where there is no GPU."""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "resources/demo-model"
LATENCY = ROOT / "workflow/studies/latency.yaml"  # whose model is Pythia-2.8b's shape
# Shapes of every Pythia.
NUMBERS = "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size"
SIZES = {
    size: dict(zip(NUMBERS, numbers, strict=True))
    for size, numbers in {
        "70m": (6, 512, 8, 2048, 50304),
        "160m": (12, 768, 12, 3072, 50304),
        "410m": (24, 1024, 16, 4096, 50304),
        "1b": (16, 2048, 8, 8192, 50304),
        "1.4b": (24, 2048, 16, 8192, 50304),
        "2.8b": (32, 2560, 32, 10240, 50304),
        "6.9b": (32, 4096, 32, 16384, 50432),
        "12b": (36, 5120, 40, 20480, 50688),
    }.items()
}
sys.path.insert(0, str(ROOT / "scripts"))


def read_study(path: Path = LATENCY) -> dict:
    """A study's file as it is written."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def replay_ms(replay, replays: int, device) -> float:
    """Device milliseconds of a captured step, the mean over so many replays."""
    from sinkbench.runtime.device import elapsed_ms, record_event, synchronise

    begun = record_event(device)
    for _ in range(replays):
        replay()
    ended = record_event(device)
    synchronise(device)
    return elapsed_ms(begun, ended) / replays


def check_device(device: str = "cuda") -> None:
    """End with one line and status 1 where a CUDA device is asked for and torch finds none."""
    import torch  # here, since not every benchmark computes

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: a CUDA GPU is needed, and torch finds none")
