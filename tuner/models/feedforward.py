"""Feed-forward layers: plain and gated, and mixtures of experts. Pure."""

from dataclasses import dataclass

from tuner.domain.model import WeightUse
from tuner.models.parts import Part, Parts, linear, vector


@dataclass(frozen=True, slots=True)
class Mlp:
    """How a family's feed-forward layers are built."""

    gated: bool = True
    """Whether there is a gate beside the up-projection (SwiGLU, GeGLU)."""
    bias: bool = False
    activation: int = 0
    """Parameters of a learned activation function (xIELU)."""


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts."""

    experts: int
    active: int
    """Experts that one token visits, shared ones aside."""
    intermediate: int
    """Of one expert."""
    shared: int = 0
    """Intermediate size of the experts that every token visits, together."""
    shared_gate: bool = False
    """Whether the shared experts' output is gated (Qwen2-MoE)."""
    correction_bias: bool = False
    """Whether the router has a bias for each expert that balances their load (DeepSeek-V3)."""
    router_bias: bool = False
    router_float32: bool = False
    """Whether vLLM keeps the router in float32 whatever the model's dtype (GLM-4.5, MiniMax-M2)."""
    bias: bool = False
    gated: bool = True
    latent: int = 0
    """Width that the routed experts work in where it is not the hidden size (Nemotron 3)."""

    @property
    def read(self) -> float:
        """The share of the routed experts' weights that one token reads."""
        return min(1.0, self.active / self.experts)


def mlp_parts(scope: str, hidden: int, intermediate: int, how: Mlp, *, use: WeightUse = WeightUse.MLP) -> Parts:
    """Return one dense feed-forward layer."""
    learned = vector(f"{scope}.act_fn", how.activation)
    return (*_stack(scope, use, hidden, intermediate, gated=how.gated, bias=how.bias), *learned)


def experts_parts(scope: str, hidden: int, how: Experts) -> Parts:
    """Return the router, the routed experts and the shared ones."""
    width = how.latent or hidden
    return (
        *_router(f"{scope}.gate", hidden, how),
        *(
            (Part(f"{scope}.gate.e_score_correction_bias", WeightUse.REPLICATED, how.experts, itemsize=4),)
            if how.correction_bias
            else ()
        ),
        *_stack(
            f"{scope}.experts.0",
            WeightUse.EXPERTS,
            width,
            how.intermediate,
            gated=how.gated,
            bias=how.bias,
            copies=how.experts,
            read=how.read,
        ),
        *(_shared(scope, hidden, how) if how.shared else ()),
        *(_latent(scope, hidden, how.latent) if how.latent else ()),
    )


def _router(name: str, hidden: int, how: Experts) -> Parts:
    """Return the router, which no quantisation touches."""
    matrix = Part(name, WeightUse.REPLICATED, how.experts, hidden, itemsize=4 if how.router_float32 else None)
    return (matrix, Part(f"{name}.bias", WeightUse.REPLICATED, how.experts)) if how.router_bias else (matrix,)


def _shared(scope: str, hidden: int, how: Experts) -> Parts:
    name = f"{scope}.shared_expert"
    gate = (Part(f"{scope}.shared_expert_gate", WeightUse.REPLICATED, 1, hidden),) if how.shared_gate else ()
    return _stack(name, WeightUse.MLP, hidden, how.shared, gated=how.gated, bias=how.bias) + gate


def _latent(scope: str, hidden: int, latent: int) -> Parts:
    return (
        *linear(f"{scope}.fc1_latent_proj", WeightUse.REPLICATED, hidden, latent),
        *linear(f"{scope}.fc2_latent_proj", WeightUse.REPLICATED, latent, hidden),
    )


def _stack(
    scope: str,
    use: WeightUse,
    hidden: int,
    intermediate: int,
    *,
    gated: bool,
    bias: bool,
    copies: int = 1,
    read: float = 1.0,
) -> Parts:
    up = [f"{scope}.gate_proj", f"{scope}.up_proj"] if gated else [f"{scope}.up_proj"]
    parts: Parts = ()
    for name in up:
        parts += linear(name, use, hidden, intermediate, bias=bias, copies=copies, read=read)
    return parts + linear(f"{scope}.down_proj", use, intermediate, hidden, bias=bias, copies=copies, read=read)
