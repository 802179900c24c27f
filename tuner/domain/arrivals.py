"""How requests arrive at a server. A workload of several calls counts user requests here, not calls."""

from typing import Annotated, Literal

from pydantic import Field

from tuner.domain.base import Frozen

_Rate = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class ClosedLoop(Frozen):
    """`concurrency` users, each sending its next request when the last one ended."""

    kind: Literal["closed"] = "closed"
    concurrency: Annotated[int, Field(strict=True, ge=1)]

    @property
    def label(self) -> str:
        """A few words for people: `32 users`."""
        return f"{self.concurrency} users"

    @property
    def offered_rps(self) -> float | None:
        """None: the server's answers set the pace."""
        return None


class _OpenLoop(Frozen):
    rate: _Rate
    """Requests per second, on average."""

    @property
    def label(self) -> str:
        """A few words for people: `4 req/s`."""
        return f"{self.rate:.3g} req/s"

    @property
    def offered_rps(self) -> float | None:
        """The rate asked for, requests per second."""
        return self.rate


class PoissonArrivals(_OpenLoop):
    """Open loop: exponential gaps, requests arrive independently of one another and of the server's answers."""

    kind: Literal["poisson"] = "poisson"


class ConstantArrivals(_OpenLoop):
    """Open loop: equispaced requests."""

    kind: Literal["constant"] = "constant"


class GammaArrivals(_OpenLoop):
    """Open loop: gamma-distributed gaps of shape `burstiness`, as `vllm bench serve` draws them."""

    kind: Literal["gamma"] = "gamma"
    burstiness: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 1.0
    """The shape: 1 is Poisson, below 1 comes in bursts, above 1 is more even."""


class RampArrivals(Frozen):
    """Open loop: Poisson arrivals whose rate goes linearly in time from one rate to another."""

    kind: Literal["ramp"] = "ramp"
    from_rate: _Rate
    to_rate: _Rate

    @property
    def label(self) -> str:
        """A few words for people: `1 to 8 req/s`."""
        return f"{self.from_rate:g} to {self.to_rate:g} req/s"

    @property
    def offered_rps(self) -> float | None:
        """None: no one rate."""
        return None


class TraceArrivals(Frozen):
    """Open loop: the moments that a workload's recorded trace gives, its clock running `speed` times as fast."""

    kind: Literal["trace"] = "trace"
    speed: _Rate = 1.0

    @property
    def label(self) -> str:
        """A few words for people: `trace at 2× speed`."""
        return f"trace at {self.speed:g}× speed"

    @property
    def offered_rps(self) -> float | None:
        """None: the trace decides."""
        return None


Arrivals = Annotated[
    ClosedLoop | PoissonArrivals | ConstantArrivals | GammaArrivals | RampArrivals | TraceArrivals,
    Field(discriminator="kind"),
]
