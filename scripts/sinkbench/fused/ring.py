"""The ring as the kernels keep it: sink keys stay rotated at their own index, and the query turns instead."""

from torch import Tensor

from sinkbench.ring import RingBuffers


class FusedRing(RingBuffers):
    """`sink_keys` is only what a prefill left: of a sink that a step reads, the key is in `keys` alone."""

    def load(self, chunks, row: int = 0) -> None:
        super().load(chunks, row)
        self.keys[:, row, :, : self.visibility.sinks] = super().own_sinks()[:, row]

    def own_sinks(self) -> Tensor:
        return self.keys[..., : self.visibility.sinks, :]
