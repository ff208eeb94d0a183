"""What the benchmarks share: the library on the path, and one line where there is no GPU."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "resources/demo-model"
sys.path.insert(0, str(ROOT / "scripts"))


def check_device(device: str = "cuda") -> None:
    """End with one line and status 1 where a CUDA device is asked for and torch finds none."""
    import torch  # here, since not every benchmark computes

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: a CUDA GPU is needed, and torch finds none")
