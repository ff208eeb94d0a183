"""The ring as the kernels keep it: sink keys stay rotated at their own index, and the query turns instead."""

from torch import Tensor

from sinkbench.attention.ring import RingBuffers


class FusedRing(RingBuffers):
    """`sink_keys` is only what a prefill left: of a sink that a step reads, the key is in `keys` alone."""

    def sink_slots(self) -> int:
        """S, however many tokens a block has: each of them turns its own query."""
        return self.visibility.sinks

    def load(self, chunks, row: int = 0) -> None:
        """Load as RingBuffers.load, with the sinks turned to where they stay."""
        super().load(chunks, row)
        self.keys[:, row, :, : self.visibility.sinks] = super().own_sinks()[:, row]

    def own_sinks(self) -> Tensor:
        """The sinks' keys as RingBuffers.own_sinks, from where the kernels write."""
        return self.keys[..., : self.visibility.sinks, :]
