"""A model as a list of matrices and vectors, before anybody asks how many bytes they take.

Names are the checkpoint's, because a quantisation's list of exceptions is written in them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tuner.domain.model import CacheLayer, WeightUse

VOCABULARY_MULTIPLE = 64
"""vLLM pads embeddings and heads to a multiple of this (`vocab_parallel_embedding.py`, DEFAULT_VOCAB_PADDING_SIZE)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One matrix or vector, or several alike."""

    name: str
    use: WeightUse
    outputs: int
    inputs: int = 1
    copies: int = 1
    read: float = 1.0
    """The share of the copies that one token's forward pass reads."""
    linear: bool = False
    """Whether it is the matrix of a linear layer, which a quantisation may compress."""
    padding: int = 0
    """Rows that lie in memory only."""
    itemsize: int | None = None
    """Bytes of an element where they are not the model's dtype's."""

    @property
    def parameters(self) -> int:
        """Parameters as the checkpoint counts them."""
        return self.outputs * self.inputs * self.copies


Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps of a sequence, and its weights."""

    caches: tuple[CacheLayer, ...]
    parts: Parts


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A whole model."""

    kind: str
    """How its attention and its feed-forward layers work, for people."""
    layers: tuple[Layer, ...]
    rest: Parts
    """Embeddings, the last norm, the head."""
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    rotary: int = 0
    """Dimensions of a rotary embedding, of which vLLM keeps a table of cosines and sines for each position."""
    notes: tuple[str, ...] = field(default=())

    def parts(self) -> Iterable[Part]:
        """Yield every part."""
        for layer in self.layers:
            yield from layer.parts
        yield from self.rest


def linear(
    name: str, use: WeightUse, inputs: int, outputs: int, *, bias: bool = False, copies: int = 1, read: float = 1.0
) -> Parts:
    """Return a linear layer's matrix, and its bias."""
    matrix = Part(name, use, outputs, inputs, copies, read, linear=True)
    return (matrix, Part(f"{name}.bias", use, outputs, 1, copies, read)) if bias else (matrix,)


def vector(name: str, size: int, *, use: WeightUse = WeightUse.REPLICATED, itemsize: int | None = None) -> Parts:
    """Return a vector, or a matrix that no quantisation touches."""
    return (Part(name, use, size, itemsize=itemsize),) if size else ()


def norm(name: str, size: int, *, bias: bool = False) -> Parts:
    """Return a norm's scale, and its bias."""
    return vector(name, size) + (vector(f"{name}.bias", size) if bias else ())


def embedding(name: str, vocabulary: int, hidden: int, *, read: float = 0.0) -> Parts:
    """Return an embedding table as vLLM pads it.

    Args:
        name: its name in the checkpoint.
        vocabulary: rows.
        hidden: columns.
        read: 1 where it is the head, too.
    """
    return (Part(name, WeightUse.EMBEDDING, vocabulary, hidden, read=read, padding=padding(vocabulary)),)


def head(name: str, vocabulary: int, hidden: int, *, bias: bool = False) -> Parts:
    """Return an output projection as vLLM pads it."""
    rows = padding(vocabulary)
    matrix = Part(name, WeightUse.HEAD, vocabulary, hidden, linear=True, padding=rows)
    return (matrix, Part(f"{name}.bias", WeightUse.HEAD, vocabulary, padding=rows)) if bias else (matrix,)


def padding(vocabulary: int) -> int:
    """Return the rows that vLLM adds to a vocabulary."""
    return -vocabulary % VOCABULARY_MULTIPLE
