"""Which part of a decode step each launch belongs to: one rule for every engine.

In this order, the first that applies:

1. the engine's own PARTS name the kernel;
2. it was launched by an operator that reads a linear layer's weight, known by its shape (weight_shapes).
   Where layers of equal shape leave a doubt, or a matrix kernel has no operators, the products of a layer
   are taken in the order of the model's code, if there are as many as there should be;
3. the name of the kernel or of an operator around it says embedding, attention, activation or norm.
   Compiled kernels carry the names of the operators that they were fused from;
4. where it stands: after the QKV projection and before the output projection all is attention (rotation,
   cache), between the two products of the MLP all is MLP, before the first product and after the LM head all
   is `other`, and the rest (residual, conversions) goes with the norms.

Kernels of a CUDA graph have no operators: they take the parts of an equal sequence of kernels that ran
without the graph in the same process (an engine warms up before it captures), and otherwise go by 2 to 4.
With parallel residual a compiler may reorder products of attention and MLP, so for a compiled graph that
nothing ungraphed resembles, order is the weak link.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from itertools import islice

from sinkbench.measure.trace import Launch, Operator
from sinkbench.measure.weight_shapes import HEAD, MLP, PART, QKV, WeightShapes
from sinkbench.results import step_parts

ATTENTION = re.compile(r"scaled_dot_product|softmax|flash|fmha|sdpa|attention|bmm", re.IGNORECASE)
ACTIVATION = re.compile(r"gelu|silu|relu", re.IGNORECASE)
NORM = re.compile(r"layer_?norm", re.IGNORECASE)
PRODUCT = re.compile(r"addmm|(?<![a-z])mm(?![a-z])|gemm|gemv|nvjet|xmma|cublas", re.IGNORECASE)
DOUBTFUL = "+".join(sorted(set(PART.values())))  # a matrix product that may be any of them
REMAINDER = re.compile(r"split_?k_?reduce", re.IGNORECASE)  # ends the product whose kernel came before


@dataclass(frozen=True)
class Clue:
    """What is known of a launch before its neighbours are looked at.

    Args:
        part: its part, if that is certain.
        layers: linear layers that it may belong to.
        product: the matrix product that it is some of; launches of one product share it.
    """

    part: str | None = None
    layers: frozenset[str] = frozenset()
    product: Hashable = None


def attribute(
    launches: list[Launch],
    weights: WeightShapes,
    own: dict[str, str],
    ungraphed: list[tuple[str, str]] | None = None,
) -> list[str]:
    """The part (a word of `parts`) of every launch of one step.

    Args:
        own: part by kernel name, from the engine.
        ungraphed: (kernel, part) of kernels that ran outside of graphs, in their order.
    """
    copied = iter(_graph_parts(launches, ungraphed or []))
    clues: list[Clue] = []
    for launch in launches:
        known = own.get(launch.name) or (None if launch.operators else next(copied))
        before = clues[-1] if clues else Clue()
        clues.append(Clue(part=known) if known else _clue(launch, len(clues), before, weights))
    return _by_place(_settled(clues, weights.order))


def _graph_parts(launches: list[Launch], ungraphed: list[tuple[str, str]]) -> list[str | None]:
    """Parts of the launches without operators: those of the latest equal sequence, or None for each."""
    wanted = [launch.name for launch in launches if not launch.operators]
    names = [name for name, _ in ungraphed]
    for start in range(len(names) - len(wanted), -1, -1):
        if names[start : start + len(wanted)] == wanted:
            return [part for _, part in ungraphed[start : start + len(wanted)]]
    return [None] * len(wanted)


def _clue(launch: Launch, index: int, before: Clue, weights: WeightShapes) -> Clue:
    words = " ".join((launch.name, *(operator.name for operator in launch.operators)))
    if "embedding" in words:  # it reads a matrix of the LM head's shape
        return Clue(part=step_parts.OTHER)
    for operator in launch.operators:
        layers, multiplies = weights.candidates(operator), _multiplies(operator)
        if layers and (multiplies or len(layers) == 1):
            return Clue(layers=layers, product=operator if multiplies else None)
    if ATTENTION.search(words):
        return Clue(part=step_parts.ATTENTION)
    if REMAINDER.search(launch.name):
        return before
    if PRODUCT.search(launch.name):  # with the activation in the same kernel, or any of them
        return Clue(layers=frozenset({MLP} if ACTIVATION.search(words) else PART), product=index)
    if ACTIVATION.search(words):
        return Clue(part=step_parts.MLP)
    return Clue(part=step_parts.NORMS if NORM.search(words) else None)


def _multiplies(operator: Operator) -> bool:
    return bool(PRODUCT.search(operator.name) or re.search("linear|matmul", operator.name))


def _settled(clues: list[Clue], order: list[tuple[str, ...]]) -> list[Clue]:
    """The clues with one linear layer each, where order decides; `DOUBTFUL` where it cannot.

    Args:
        order: products of each layer of the model. What comes from another order within a layer must be
            certain of itself.
    """
    products = {clue.product: clue.layers for clue in clues if clue.product is not None}
    decided: dict[Hashable, str] = {}
    if len(products) == sum(map(len, order)):
        waiting = iter(products.items())
        for expected in order:
            decided |= _matched(list(islice(waiting, len(expected))), list(expected))
    return [_decide(clue, decided) for clue in clues]


def _matched(products: list[tuple[Hashable, frozenset[str]]], expected: list[str]) -> dict[Hashable, str]:
    """The doubtful ones of a layer's products take, in order, what those that are certain leave."""
    for _, layers in products:
        if len(layers) == 1 and (certain := next(iter(layers))) in expected:
            expected.remove(certain)
    doubtful = [(product, layers) for product, layers in products if len(layers) > 1]
    pairs = list(zip(doubtful, expected, strict=False))
    fits = len(doubtful) == len(expected) and all(layer in layers for (_, layers), layer in pairs)
    return {product: layer for (product, _), layer in pairs} if fits else {}


def _decide(clue: Clue, decided: dict) -> Clue:
    if len(clue.layers) < 2:
        return clue
    if clue.product in decided:
        return replace(clue, layers=frozenset({decided[clue.product]}))
    return Clue(part=DOUBTFUL)


def _by_place(clues: list[Clue]) -> list[str]:
    """The part of every launch; what has no clue takes that of its place."""
    found, place = [], _Place()
    for clue in clues:
        layer = next(iter(clue.layers), None)
        place.pass_by(layer, clue)
        found.append(clue.part or (PART[layer] if layer else place.part))
    return found


class _Place:
    """Where in the model the launches have come to."""

    def __init__(self):
        self.part, self.in_attention, self.last, self.mlp_products = step_parts.OTHER, False, None, 0

    def pass_by(self, layer: str | None, clue: Clue) -> None:
        if layer is None:
            if clue.part in (step_parts.NORMS, DOUBTFUL) and self.part == step_parts.OTHER:
                self.part = step_parts.NORMS
            return
        self.in_attention = layer == QKV or (self.in_attention and layer == MLP)
        if layer == MLP and clue.product is not None and clue.product is not self.last:
            self.mlp_products += 1
            self.last = clue.product
        self.part = self._after(layer)

    def _after(self, layer: str) -> str:
        if layer == HEAD:
            return step_parts.OTHER
        if self.in_attention:
            return step_parts.ATTENTION
        between = layer == MLP and self.mlp_products % 2
        return step_parts.MLP if between else step_parts.NORMS
