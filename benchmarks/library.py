"""What the benchmarks share: the library on the path, and one line where there is no GPU."""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "resources/demo-model"
LATENCY = ROOT / "workflow/studies/latency.yaml"  # whose model is Pythia-2.8b's shape
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
