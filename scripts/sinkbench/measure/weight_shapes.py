"""Which linear layer an operator reads, by the shapes of its inputs."""

from math import prod

from sinkbench.measure.trace import Operator
from sinkbench.results import step_parts

# The four matrix products of a layer in the order of the model's code, and that of the LM head.
QKV, OUTPUT, MLP, HEAD = "qkv", "output", "mlp", "head"
LAYER = (QKV, OUTPUT, MLP, MLP)
PART = {
    QKV: step_parts.PROJECTIONS,
    OUTPUT: step_parts.PROJECTIONS,
    MLP: step_parts.MLP,
    HEAD: step_parts.HEAD,
}


class WeightShapes:
    """The linear layers of a GPT-NeoX by the shapes in which operators see their weights.

    A weight [rows, K] is seen as it is, transposed, or while it is dequantised, packed [rows, words] or
    unpacked [rows, ...]. Its first size and its number of elements identify it. Layers of equal shape share
    them, so that an operator may have several candidates (in Pythia, none has).
    """

    def __init__(self, model):
        layer = model.gpt_neox.layers[0]
        self.order = [*[LAYER] * len(model.gpt_neox.layers), (HEAD,)]  # products of a step, layer by layer
        self.known: dict[tuple[int, int], set[str]] = {}
        self._add(QKV, layer.attention.query_key_value)
        self._add(OUTPUT, layer.attention.dense)
        self._add(MLP, layer.mlp.dense_h_to_4h)
        self._add(MLP, layer.mlp.dense_4h_to_h)
        self._add(HEAD, model.lm_head)

    def candidates(self, operator: Operator) -> frozenset[str]:
        """Layers whose weight the operator may read; none if it reads none.

        The last input that fits counts: the weight comes after the activations, which may have its shape.
        What reads more than these two is a compiled region around many operators, and says nothing.
        """
        fits = (self.known.get((dims[0], prod(dims))) for dims in operator.shapes if len(dims) > 1)
        found = [names for names in fits if names]
        return frozenset(found[-1]) if 1 <= len(found) <= 2 else frozenset()

    def _add(self, name: str, linear) -> None:
        rows, inputs = linear.out_features, linear.in_features
        self._know(name, rows, rows * inputs)
        self._know(name, inputs, rows * inputs)
        for buffer in linear.buffers():
            if buffer.dim() == 2 and buffer.numel() > rows:
                self._know(name, rows, buffer.numel())

    def _know(self, name: str, first: int, elements: int) -> None:
        self.known.setdefault((first, elements), set()).add(name)
