"""State-space and linear-attention layers: their weights and the state of fixed size that they keep. Pure.

States as vLLM shapes them (`vllm/model_executor/layers/mamba/mamba_utils.py`, MambaStateShapeCalculator, at 0.32).
"""

from dataclasses import dataclass
from math import ceil

from tuner.domain.model import StateSpace, WeightUse
from tuner.models.fields import Fields
from tuner.models.parts import Part, Parts, linear, norm, vector

_USE = WeightUse.ATTENTION
_FLOAT32 = 4
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def state_bytes(fields: Fields, *keys: str, default: int | None = None) -> int | None:
    """Return the bytes of an element of the recurrent state by a dtype's name in the configuration."""
    return next((_DTYPE_BYTES.get(fields.text(key), default) for key in keys if key in fields), default)


@dataclass(frozen=True, slots=True)
class Mamba1:
    """Selective state space (Mamba, Jamba, Falcon-Mamba)."""

    hidden: int
    inner: int
    state: int
    kernel: int
    rank: int
    conv_bias: bool = True
    bias: bool = False
    inner_norms: bool = False
    """Whether time step, B and C have norms (Jamba)."""

    @classmethod
    def rank_of(cls, fields: Fields, name: str) -> int:
        """Return the rank of the time step's projection; `auto` is a sixteenth of the hidden size."""
        given = fields.value(name)
        return given if isinstance(given, int) and given > 0 else ceil(fields.size("hidden_size") / 16)

    def cache(self) -> StateSpace:
        """Return what a layer keeps."""
        return StateSpace(conv_elements=self.inner * (self.kernel - 1), state_elements=self.inner * self.state)

    def parts(self, scope: str) -> Parts:
        """Return the weights of one layer."""
        return (
            *linear(f"{scope}.in_proj", _USE, self.hidden, 2 * self.inner, bias=self.bias),
            *vector(f"{scope}.conv1d", self.inner * self.kernel, use=_USE),
            *(vector(f"{scope}.conv1d.bias", self.inner, use=_USE) if self.conv_bias else ()),
            *linear(f"{scope}.x_proj", _USE, self.inner, self.rank + 2 * self.state),
            *linear(f"{scope}.dt_proj", _USE, self.rank, self.inner, bias=True),
            *vector(f"{scope}.A_log", self.inner * self.state, use=_USE, itemsize=_FLOAT32),
            *vector(f"{scope}.D", self.inner, use=_USE),
            *linear(f"{scope}.out_proj", _USE, self.inner, self.hidden, bias=self.bias),
            *(norm(f"{scope}.norms", self.rank + 2 * self.state) if self.inner_norms else ()),
        )


@dataclass(frozen=True, slots=True)
class Mamba2:
    """State-space duality (Mamba 2 and most hybrids)."""

    hidden: int
    heads: int
    head_dim: int
    groups: int
    state: int
    kernel: int
    inner: int
    conv_bias: bool = True
    in_bias: bool = False
    out_bias: bool = False
    gated_norm: bool = True
    state_bytes: int | None = None

    @property
    def conv(self) -> int:
        """Channels of the convolution: the inner ones, B and C."""
        return self.inner + 2 * self.groups * self.state

    def cache(self) -> StateSpace:
        """Return what a layer keeps."""
        return StateSpace(
            conv_elements=self.conv * (self.kernel - 1),
            state_elements=self.heads * self.head_dim * self.state,
            state_bytes=self.state_bytes,
            checkpoints=1,
        )

    def parts(self, scope: str) -> Parts:
        """Return the weights of one layer."""
        return (
            *linear(f"{scope}.in_proj", _USE, self.hidden, self.inner + self.conv + self.heads, bias=self.in_bias),
            *vector(f"{scope}.conv1d", self.conv * self.kernel, use=_USE),
            *(vector(f"{scope}.conv1d.bias", self.conv, use=_USE) if self.conv_bias else ()),
            *vector(f"{scope}.A_log", self.heads, use=_USE, itemsize=_FLOAT32),
            *vector(f"{scope}.D", self.heads, use=_USE),
            *vector(f"{scope}.dt_bias", self.heads, use=_USE),
            *(norm(f"{scope}.norm", self.inner) if self.gated_norm else ()),
            *linear(f"{scope}.out_proj", _USE, self.inner, self.hidden, bias=self.out_bias),
        )


@dataclass(frozen=True, slots=True)
class DeltaNet:
    """Gated delta rule (Qwen3-Next)."""

    hidden: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    state_bytes: int | None = None

    @classmethod
    def read(cls, fields: Fields) -> "DeltaNet":
        """Read the keys of Qwen3-Next's configuration."""
        return cls(
            hidden=fields.size("hidden_size"),
            key_heads=fields.size("linear_num_key_heads"),
            value_heads=fields.size("linear_num_value_heads"),
            key_dim=fields.size("linear_key_head_dim"),
            value_dim=fields.size("linear_value_head_dim"),
            kernel=fields.size("linear_conv_kernel_dim"),
            state_bytes=state_bytes(fields, "mamba_ssm_dtype"),
        )

    @property
    def values(self) -> int:
        """Width of all value heads."""
        return self.value_heads * self.value_dim

    @property
    def conv(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.values

    def cache(self) -> StateSpace:
        """Return what a layer keeps."""
        return StateSpace(
            conv_elements=self.conv * (self.kernel - 1),
            state_elements=self.value_heads * self.value_dim * self.key_dim,
            state_bytes=self.state_bytes,
        )

    def parts(self, scope: str) -> Parts:
        """Return the weights of one layer."""
        return (
            *linear(f"{scope}.in_proj_qkvz", _USE, self.hidden, self.conv + self.values),
            *linear(f"{scope}.in_proj_ba", _USE, self.hidden, 2 * self.value_heads),
            *vector(f"{scope}.conv1d", self.conv * self.kernel, use=_USE),
            *vector(f"{scope}.A_log", self.value_heads, use=_USE),
            *vector(f"{scope}.dt_bias", self.value_heads, use=_USE),
            *norm(f"{scope}.norm", self.value_dim),
            *linear(f"{scope}.out_proj", _USE, self.values, self.hidden),
        )


@dataclass(frozen=True, slots=True)
class ShortConv:
    """A gated short convolution (LFM2)."""

    hidden: int
    kernel: int
    bias: bool

    def cache(self) -> StateSpace:
        """Return what a layer keeps."""
        return StateSpace(conv_elements=self.hidden * (self.kernel - 1), state_elements=0)

    def parts(self, scope: str) -> Parts:
        """Return the weights of one layer."""
        return (
            *linear(f"{scope}.in_proj", _USE, self.hidden, 3 * self.hidden, bias=self.bias),
            *vector(f"{scope}.conv", self.hidden * self.kernel, use=_USE),
            *(vector(f"{scope}.conv.bias", self.hidden, use=_USE) if self.bias else ()),
            *linear(f"{scope}.out_proj", _USE, self.hidden, self.hidden, bias=self.bias),
        )


@dataclass(frozen=True, slots=True)
class Lightning:
    """Lightning attention (MiniMax-Text-01): a matrix for each head."""

    hidden: int
    heads: int
    head_dim: int

    def cache(self) -> StateSpace:
        """Return what a layer keeps."""
        return StateSpace(
            conv_elements=0, state_elements=self.heads * self.head_dim * self.head_dim, state_bytes=_FLOAT32
        )

    def parts(self, scope: str) -> Parts:
        """Return the weights of one layer."""
        width = self.heads * self.head_dim
        return (
            *linear(f"{scope}.qkv_proj", _USE, self.hidden, 3 * width),
            *linear(f"{scope}.output_gate", _USE, self.hidden, width),
            *linear(f"{scope}.out_proj", _USE, width, self.hidden),
            Part(f"{scope}.norm", WeightUse.REPLICATED, width),
        )
