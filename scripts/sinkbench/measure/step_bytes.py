"""Bytes that decoding must read, whatever an engine moves: over bandwidth they are its floor.

The slots of a static growing cache are a multiple of ring.SLOT_MULTIPLE. A step in static shapes may then
read up to 1,023 slots more, for which MBU gives no credit. Of a refresh only what the mathematics asks for
counts (_refreshed.RefreshTraffic): an engine may copy keys that it has already.
"""

from sinkbench.model.loading import cache_bytes_per_key, weight_bytes_per_token
from sinkbench.policies import REFRESHED


def bytes_per_step(model, policy, batch: int, steps: range) -> int:
    """Mean over the steps at these stream positions: the weights, and the keys and values that are seen.

    With the store's that refreshes before these steps read. A fresh pass reads no cache.
    """
    weights, key = weight_bytes_per_token(model), cache_bytes_per_key(model)
    if policy.cache == "none":
        return weights
    visibility = policy.visibility(steps.stop)
    seen = round(sum(map(visibility.keys_at, steps)) / len(steps))
    return weights + batch * seen * key + round(_refreshes(policy, steps, weights, key) / len(steps))


def _refreshes(policy, steps: range, weights: int, key: int) -> float:
    """Bytes that the refreshes before `steps` read."""
    if policy.cache not in REFRESHED:
        return 0
    reads = [policy.refresh_traffic(position) for position in steps if policy.is_due(position)]
    return sum(read.passes * weights + (read.keys + read.values) * key / 2 for read in reads)
