"""What load points that were chosen for some SLOs leave open under others. A value and its words, no verdict. Pure."""

from tuner.domain.base import Frozen


class Undecided(Frozen):
    """A capacity that the measured rates don't decide, and the load point that would tell."""

    lower_rps: float
    """The capacity lies above it, as far as is known; 0 where no rate held."""
    upper_rps: float | None
    """It lies below it; None where no rate broke."""
    rate: float
    """Requests per second of the load point that would tell: the one that the search would measure next."""
    requests: int
    """How many it would send."""
    silent: tuple[float, ...] = ()
    """Rates of load points that were given up for other SLOs, and say nothing of these."""

    def __str__(self) -> str:
        """Return it for people: `the capacity lies between 8 and 20 req/s; a load point … would tell`."""
        point = f"a load point of {self.requests} requests at {self.rate:.3g} req/s would tell"
        return f"{self._known()}{self._silence()}; {point}"

    def _known(self) -> str:
        if self.upper_rps is None:
            return f"the capacity is at least {self.lower_rps:.3g} req/s"
        if self.lower_rps <= 0:
            return f"the capacity is below {self.upper_rps:.3g} req/s"
        return f"the capacity lies between {self.lower_rps:.3g} and {self.upper_rps:.3g} req/s"

    def _silence(self) -> str:
        if not self.silent:
            return ""
        rates = ", ".join(f"{rate:.3g}" for rate in self.silent)
        return f" (what was given up at {rates} req/s says nothing of these SLOs)"
