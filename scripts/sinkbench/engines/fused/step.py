"""One decode step in fused kernels: the buffers, and the launches in their order."""

import torch
from torch import Tensor
from triton import cdiv, next_power_of_2

from sinkbench.engines.fused import layer_kernels, tiles
from sinkbench.engines.fused.carveout import prefer_shared
from sinkbench.engines.fused.l2_prefetch import asked
from sinkbench.engines.fused.ring import FusedRing
from sinkbench.engines.fused.tiles import Tile, splits_of, tile_of
from sinkbench.engines.fused.weights import FusedLinear, FusedWeights
from sinkbench.model.families import Shape, shape_of


class FusedStep:
    """Decodes `batch` streams in step over one ring of keys and values, or a block of tokens of one stream.

    Args:
        model: a GPT-NeoX that `weights.check_supported` accepts; its weights are read where they are.
        ring: keys and values, loaded or to be loaded.
        pdl: launch kernels before their predecessors end (compute capability 9.0 and later).
        asks: let kernels ask for weights of the next one (see l2_prefetch).
        block: tokens of the one stream that are read at once, at most the ring's block and all of them past
            the sinks; 0: one token of each stream.
        weights: of the model, if there are any already.
        position: of the last token read, int64 [1] on the device, if several steps share it.

    `tokens` [batch] is read and `logits` [batch, vocabulary] float32 is written by every call. A block's
    tokens stand in the place of a batch's streams.
    """

    def __init__(
        self, model, ring: FusedRing, pdl: bool, asks: bool = True, block: int = 0,
        weights: FusedWeights | None = None, position: Tensor | None = None,
    ):  # fmt: skip
        shape, weights = shape_of(model), weights or FusedWeights(model)
        self.ring, self.batch, self.eps = ring, block or ring.keys.shape[1], shape.epsilon
        self.block, self.observed = block, ring.queries.shape[3]
        self.options = {"BATCH": self.batch, "PDL": pdl, "launch_pdl": pdl}
        self.embedding, self.layers, self.head = weights.embedding, weights.layers, weights.head
        self.gammas = weights.gammas
        asks &= model.device.type != "cpu"  # the interpreter has no cache to ask
        self.asked_bytes = tiles.ASKED_BYTES[self.layers[0][1].bits] if asks else 0
        self._shape_attention(shape)
        self._make_buffers(shape, model.device, model.dtype)
        self.position = torch.full((1,), -1, device=model.device) if position is None else position

    def begin(self) -> None:
        """Begin where the ring stands."""
        self.position.fill_(self.ring.position)

    def bytes_read(self) -> dict[str, int]:
        """Bytes that the launches of each kernel must read in the step after the ring's, by its name.

        Weights with their scales, and keys and values that the token sees. Vectors are left out.
        """
        linears = {
            "qkv_attention_up_kernel": [linear for layer in self.layers for linear in layer[:2]],
            "dense_down_kernel": [linear for layer in self.layers for linear in layer[2:4]],
            "head_kernel": [self.head],
        }
        read = {kernel: sum(linear.nbytes for linear in those) for kernel, those in linears.items()}
        seen = self.ring.visibility.keys_at(self.ring.position + 1) - 1  # but the token's own
        read["qkv_attention_up_kernel"] += 2 * seen * self.ring.keys[:, :, :, 0].nbytes
        return read

    def __call__(self) -> Tensor:
        """Run the step on `tokens`; returns `logits`."""
        self._embed(self.layers[0][0])
        behind = [layer[0] for layer in self.layers[1:]] + [self.head]
        for index, (qkv, up, dense, down, bias) in enumerate(self.layers):
            self._in(index, qkv, up)
            self._out(index, dense, down, bias, behind[index])
        self._head()
        if self.observed:
            self._keep_queries()
        return self.logits

    def _shape_attention(self, shape: Shape) -> None:
        ring, heads = self.ring, shape.heads
        self.head_dim, self.slots = shape.head_dim, ring.keys.shape[3]
        sinks = ring.visibility.sinks
        bits = self.layers[0][1].bits
        several = self.block > 1  # one token of a block is read as a stream's is
        alone = self.batch == 1 and bits == 16
        self.own = tiles.own_of(shape.hidden, self.head_dim, self.options["PDL"]) if alone else {}
        self.splits = splits_of(self.slots - sinks, bits, self.batch, several, self.own)
        self.share = cdiv(self.slots - sinks, self.splits - several)  # see attend_block
        self.attention = {
            "HEADS": heads,
            "HEAD": self.head_dim,
            "ROTARY": ring.rotary.dim,
            "BH": next_power_of_2(self.head_dim),
            "SINKS": sinks,
            "BS": next_power_of_2(max(sinks, 16 if several else 1)),  # matrix units take no fewer
            "SPLITS": self.splits,
            "BKEY": tiles.keys_at_a_time(bits, self.head_dim, several, self.own),
            "BLOCK": self.block,
        }

    def _make_buffers(self, shape: Shape, device: torch.device, dtype: torch.dtype) -> None:
        def room(*sizes, of=torch.float32):
            return torch.zeros(sizes, dtype=of, device=device)

        width, padded = shape.hidden, self.attention["BH"]
        heads = self.batch * self.attention["HEADS"]
        self.tokens, self.state = room(self.batch, of=torch.long), room(2, of=torch.long)
        self.tables = room(max(1, self.block), 4, padded)
        self.residual = room(self.batch, width)
        self.inputs = room(self.batch, width, of=dtype), room(self.batch, width, of=dtype)
        self.sums = room(len(self.layers) + 1, 2, self.batch, of=torch.long)  # of x and x^2 before each norm
        self.moments = [tuple(sums) for sums in self.sums]
        kept = len(self.layers) if self.observed else 1  # layers whose queries are there when a step ends
        self.qkv, self.attended = room(kept, self.batch, 3 * width), room(self.batch, width, of=dtype)
        self.activated = room(self.batch, shape.inner, of=dtype)
        self.logits = room(self.batch, shape.vocabulary)
        totals = room(heads, self.splits, self.head_dim)
        arrivals = room(heads, of=torch.int32)
        self.partial = room(heads, self.splits), room(heads, self.splits), totals, arrivals
        self.ready = room(self.attention["HEADS"], of=torch.int32)

    def _embed(self, behind: FusedLinear) -> None:
        visibility, rotary = self.ring.visibility, self.ring.rotary
        width = self.residual.shape[1]
        layer_kernels.embed_kernel[(self.batch + len(self.tables) + tiles.ASKING,)](
            self.tokens, self.embedding, self.residual, self.inputs, self.gammas[0], self.moments[0],
            self.position, self.state, self.tables, rotary.frequencies, self.slots, visibility.budget,
            visibility.sinks, behind.weight,
            D=width, BD=next_power_of_2(width), SUMS=self.sums.numel(),
            ROTARY=rotary.dim, BH=self.attention["BH"], BLOCK=self.block,
            **asked(behind, tiles.ASKING, self.asked_bytes), **self.options,
        )  # fmt: skip

    def _in(self, index: int, qkv: FusedLinear, up: FusedLinear) -> None:
        qkv_tile, up_tile = self._tile("in", qkv), self._tile("in", up)
        up_programs = cdiv(up.rows, up_tile.all_rows)
        attending = (1 if self.block else self.batch) * self.attention["HEADS"] * self.splits
        programs = cdiv(qkv.rows, qkv_tile.all_rows) + attending + up_programs
        launched = layer_kernels.qkv_attention_up_kernel[(programs,)](
            self.inputs, self.moments[index], self.eps, _operands(qkv),
            self.qkv[index % len(self.qkv)], self.ready,
            self.ring.keys[index], self.ring.values[index], self.state, self.tables, self.partial,
            self.attended, self.slots, self.share, self.ring.visibility.recent, self.head_dim**-0.5,
            _operands(up), self.activated,
            int(self.own.get("LEAD", tiles.LEAD[up.bits]) * up_programs),
            K=up.inputs, **_shape(qkv, qkv_tile, "QKV_"), **_shape(up, up_tile, "UP_"),
            **self.attention, **self._options(up_tile),
        )  # fmt: skip
        self._carve(launched)

    def _out(self, index: int, dense, down: FusedLinear, bias: Tensor, behind: FusedLinear) -> None:
        tile = self._tile("out", down)
        programs = cdiv(down.rows, tile.rows)
        launched = layer_kernels.dense_down_kernel[(programs,)](
            self.attended, dense.weight, dense.scales, self.activated, down.weight, down.scales, bias,
            self.residual, self.inputs, self.gammas[index + 1], self.moments[index + 1], self.ready,
            behind.weight,
            D=down.rows, F=down.inputs, DENSE_BITS=dense.bits, DENSE_BK=self._tile("in", dense).inputs,
            DOWN_BITS=down.bits, HEADS=self.attention["HEADS"],
            BN=tile.rows, BK=tile.inputs, STAGES=tile.stages,
            **asked(behind, programs, self.asked_bytes), **self._options(tile),
        )  # fmt: skip
        self._carve(launched)

    def _head(self) -> None:
        tile = self._tile("head", self.head)
        layer_kernels.head_kernel[(cdiv(self.head.rows, tile.all_rows),)](
            self.inputs[0], _operands(self.head), self.moments[-1], self.logits, self.eps, self.position,
            K=self.head.inputs, BLOCK=self.block, **_shape(self.head, tile), **self._options(tile),
        )  # fmt: skip

    def _carve(self, launched) -> None:
        """Set the carve-out of a kernel of layers, from its next launch on; a capture is warmed up before."""
        percent = tiles.CARVEOUTS[self.layers[0][1].bits] if self.batch == 1 else None
        if percent is not None and launched is not None:  # nothing is compiled for the interpreter
            prefer_shared(launched.function, percent)

    def _tile(self, kernel: str, linear: FusedLinear) -> Tile:
        width = self.residual.shape[1]
        return tile_of(kernel, linear.bits, width, self.batch, self.block, self.own)

    def _keep_queries(self) -> None:
        """Where refreshes look for them; the step has moved `position` on to its token."""
        heads = self.qkv.unflatten(2, (self.attention["HEADS"], 3, self.head_dim))
        queries, slot = heads[:, :, :, :1].to(self.ring.queries.dtype), self.position % self.observed
        self.ring.queries.index_copy_(3, slot, queries)

    def _options(self, tile: Tile) -> dict:
        first = tiles.FIRST_OF_BLOCKS if self.block else 0
        matrix = {"WARPS": tile.warps, "FIRST": first}
        return {"num_warps": tile.warps, "maxnreg": tile.registers, **matrix, **self.options}


def _operands(linear: FusedLinear) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return linear.weight, linear.scales, linear.sums, linear.shift


def _shape(linear: FusedLinear, tile: Tile, prefix: str = "") -> dict:
    values = {
        "ROWS": linear.rows,
        "BITS": linear.bits,
        "BN": tile.rows,
        "BK": tile.inputs,
        "STRIPS": tile.strips,
        "STAGES": tile.stages,
    }
    return {prefix + name: value for name, value in values.items()}
