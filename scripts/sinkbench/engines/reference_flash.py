"""The reference formulation with torch's flash attention kernel in place of plain products."""

from torch.nn.attention import SDPBackend

from sinkbench.engines import reference

CACHES = ("ring",)


class Engine(reference.Engine):
    """See reference. Flash attention only meets keys that are rotated already, at every step."""

    kernel = SDPBackend.FLASH_ATTENTION
