"""What a model family says of its checkpoints and of its layers."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar, NamedTuple

from sinkbench.model.families import _rotary


class Role(StrEnum):
    """What a module is to a profile (measure.attribution)."""

    EMBEDDING = "embedding"
    NORM = "norm"  # of a layer's input
    QKV = "qkv"
    QKV_NORM = "qkv norm"
    OUT = "out"
    MLP = "mlp"
    LAST_NORM = "last norm"
    HEAD = "head"


class Shape(NamedTuple):
    """Sizes of a model. Query head h reads the keys of head h // group (Ainslie et al. 2023, GQA)."""

    layers: int
    heads: int  # of queries
    kv_heads: int  # of keys and values
    head_dim: int
    hidden: int
    inner: int  # of the MLP
    rotary_dim: int  # leading dimensions of a head that are rotated
    vocabulary: int
    trained_tokens: int  # length of the texts that it was trained on
    epsilon: float  # of its norms
    activation: str  # of its MLP

    @property
    def group(self) -> int:
        """Query heads that share a key head."""
        return self.heads // self.kv_heads


class Parts(NamedTuple):
    """Modules of a model outside its layers, and the layers."""

    embedding: object
    layers: object
    norm: object
    head: object


class ParallelLayer(NamedTuple):
    """Modules of a layer whose attention and MLP read the same input, each through a LayerNorm of its own."""

    attention_norm: object
    qkv: object
    dense: object
    mlp_norm: object
    up: object
    down: object


class Family(ABC):
    """One family. Its methods that take a layer are called in compiled code: plain tensor operations only.

    Attributes:
        model: name of transformers' class for causal language modelling.
        linears: last names of the linear layers by part of the model: "attention", "mlp", "head".
        roles: of modules by their last name.
        attention, out: names of a layer's attention and, in it, of the projection of the attended heads.
        other_names: places of tensors that checkpoints also call by another name.
    """

    model: str
    linears: ClassVar[dict[str, tuple[str, ...]]]
    roles: ClassVar[dict[str, Role]]
    attention: ClassVar[str]
    out: ClassVar[str]
    other_names: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def arguments(self, raw: dict, where: str) -> dict:
        """Arguments of transformers' config class for a config.json, with every default that is used here.

        Raises:
            UserError: a value is of another type, or asks for something that this project does not compute.
        """

    @abstractmethod
    def places(self, config: dict) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter by its name, for `arguments` of a config."""

    @abstractmethod
    def optional(self, config: dict) -> dict[str, str]:
        """Places that may stay empty, and the place whose tensor they share."""

    @abstractmethod
    def is_buffer(self, name: str, shape: tuple[int, ...], config: dict) -> bool:
        """Whether a tensor is a mask or a table of frequencies, of old checkpoints, which nobody reads."""

    @abstractmethod
    def shape(self, config: dict) -> Shape:
        """Sizes, of `arguments` or of a loaded config's attributes."""

    def frequencies(self, config: dict) -> list[float]:
        """Rotation per position in rad, of each pair of rotated dimensions."""
        return _rotary.frequencies(config["rope_parameters"], self.shape(config).head_dim)

    @abstractmethod
    def parts(self, model) -> Parts:
        """Where embedding, layers, final norm and head are."""

    @abstractmethod
    def project(self, layer, hidden) -> tuple:
        """Unrotated query [heads, tokens, head_dim], key and value [kv_heads, tokens, head_dim].

        Args:
            hidden: the layer's input [tokens, hidden].
        """

    @abstractmethod
    def combine(self, layer, hidden, attended):
        """The layer's output [tokens, hidden].

        Args:
            hidden: its input [tokens, hidden].
            attended: [heads, tokens, head_dim].
        """

    def parallel(self, layer) -> ParallelLayer | None:
        """The layer's modules, if they are laid out so."""
        return None

    @abstractmethod
    def normed(self, layer, hidden):
        """What the layer's attention reads of its input [tokens, hidden]."""

    @abstractmethod
    def unattended(self, attention, normed):
        """What stands for attended heads [..., heads * head_dim] where attention is stubbed (measure.stub).

        All projections of `normed` [..., hidden] are launched and read, and nothing else of attention.
        """
