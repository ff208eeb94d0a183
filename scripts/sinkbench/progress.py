"""Progress of long work: a line now and then, on standard error, with a rate."""

import sys
import time


class Progress:
    """Counts units of work; prints at most once every `interval_s` seconds and once at the end.

    Args:
        label: what is being done.
        unit: what is counted.
        total: how many there will be, if known.
    """

    def __init__(self, label: str, unit: str = "tokens", total: int | None = None, interval_s: float = 10.0):
        self.label, self.unit, self.total, self.interval_s = label, unit, total, interval_s
        self.done = 0

    def __enter__(self):
        self.started = self.printed = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._print()

    def __call__(self, amount: int) -> None:
        """Record `amount` more units done."""
        self.done += amount
        if time.monotonic() - self.printed >= self.interval_s:
            self._print()

    def _print(self) -> None:
        self.printed = time.monotonic()
        elapsed_s = max(self.printed - self.started, 1e-9)
        of = f" of {self.total:,}" if self.total else ""
        rate = f"{self.done / elapsed_s:,.0f} {self.unit}/s"
        line = f"{self.label}: {self.done:,}{of} {self.unit}, {rate}, {elapsed_s:.0f} s"
        print(line, file=sys.stderr, flush=True)
