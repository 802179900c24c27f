"""Errors that speak to a person, and the exit code each of them means.

TunerError
    InputError           2   the user's input: a study file, a flag, a name
    SurroundingsError    3   the surroundings: no engine, no disk, a lock, a foreign database
    BreakerError         4   the study stopped itself because going on makes no sense
    LaunchError          -   one launch failed; caught by the trial that owns it, never shown as a crash

A failed launch or load point is a result (`tuner.domain.failure`), not an end of the program.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.domain.failure import Failure


class TunerError(Exception):
    """Something a person can act upon: what was wrong, where, and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", advice: str = "") -> None:
        """Say what is wrong, where (file, key or flag) and what to do."""
        self.what = what
        self.where = where
        self.advice = advice
        super().__init__(what)

    def __str__(self) -> str:
        """Return one message: where, what, then the advice on a line of its own."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n{self.advice}" if self.advice else head


class InputError(TunerError):
    """The user's input can't be used as it is."""

    exit_code = 2


class SurroundingsError(TunerError):
    """The machine, not the input, stands in the way."""

    exit_code = 3


class BreakerError(TunerError):
    """The study stopped itself: the same failure again and again, or no baseline."""

    exit_code = 4


class LaunchError(TunerError):
    """A launch or its load failed in a way that is a result of the trial."""

    def __init__(self, failure: "Failure") -> None:
        """Carry the classified failure."""
        self.failure = failure
        super().__init__(failure.evidence or failure.kind, advice=failure.advice)
