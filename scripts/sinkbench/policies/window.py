"""Sliding window alone: the streaming policy without sinks (window attention, Beltagy et al. 2020)."""

from dataclasses import dataclass, field

from sinkbench.policies import streaming


@dataclass(frozen=True)
class Policy(streaming.Policy):
    """budget counts cached tokens."""

    sinks: int = field(default=0, init=False)
