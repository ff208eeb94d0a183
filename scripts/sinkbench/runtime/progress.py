"""Progress of long work: a line now and then in the log, and a moving line on a terminal."""

import os
import shutil
import sys
import time

LOG_INTERVAL_S = 10.0
LIVE_INTERVAL_S = 0.5
ANEW, CLEAR = "\r", "\r\x1b[K"  # to the start of the terminal's line; and empty it

_terminal: int | None = None


def show_on(descriptor: int) -> None:
    """Show progress in one moving line on this file descriptor, if the descriptor is a terminal."""
    global _terminal
    _terminal = descriptor if os.isatty(descriptor) else None


class Progress:
    """Count units of work, with a line on standard error every LOG_INTERVAL_S at most and at the end.

    Args:
        label: what is being done.
        unit: what is counted.
        total: how many there will be, if known.
    """

    def __init__(self, label: str, unit: str = "tokens", total: int | None = None):
        self.label, self.unit, self.total = label, unit, total
        self.done = 0

    def __enter__(self):
        self.started = self.logged = self.shown = time.monotonic()
        _show(f"{self.label}: begins")
        return self

    def __exit__(self, kind, *_):
        _show("")
        if kind is None:
            print(self._line(), file=sys.stderr, flush=True)

    def __call__(self, amount: int) -> None:
        """Record `amount` more units done."""
        self.done += amount
        now = time.monotonic()
        if now - self.shown >= LIVE_INTERVAL_S:
            self.shown = now
            _show(self._line())
        if now - self.logged >= LOG_INTERVAL_S:
            self.logged = now
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        elapsed_s = max(time.monotonic() - self.started, 1e-9)
        of = f" of {self.total:,}" if self.total else ""
        rate = f"{self.done / elapsed_s:,.0f} {self.unit}/s"
        return f"{self.label}: {self.done:,}{of} {self.unit}, {rate}, {elapsed_s:.0f} s"


def _show(line: str) -> None:
    """Write the line over the last one of the terminal, cut to its width; nothing if there is no terminal."""
    if _terminal is not None:
        width = shutil.get_terminal_size().columns - 1
        os.write(_terminal, f"{CLEAR}{line[:width]}{ANEW}".encode())
