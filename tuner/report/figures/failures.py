"""Owns the failures of the night by kind: how many, the line that proves one, what to do."""

from collections import defaultdict

from tuner.domain.failure import Failure
from tuner.domain.trial import Trial, TrialState
from tuner.report.chart import Figure, Table
from tuner.report.material import Material
from tuner.report.words import counted

_LISTED = 8
"""Trials of one kind that are named."""


def failures_figure(material: Material) -> Figure:
    """Return the failed and refused trials by kind, the most frequent first."""
    by_kind: dict[str, list[tuple[Trial, Failure]]] = defaultdict(list)
    for trial in material.trials:
        if trial.failure is not None and trial.state is not TrialState.INTERRUPTED:
            by_kind[trial.failure.kind].append((trial, trial.failure))
    retried = sum(
        launch.failure is not None for trial in material.trials if not trial.failure for launch in trial.launches
    )
    again = f"{counted(retried, 'failed launch')} of trials that were measured in the end." if retried else ""
    if not by_kind:
        return Figure("failures", "Failures", "", missing=again or "No trial failed.")
    rows = tuple(_row(kind, found) for kind, found in sorted(by_kind.items(), key=lambda item: -len(item[1])))
    table = Table(("kind", "trials", "which", "the line that proves it", "what to do"), rows)
    lead = "A crash is never a number: these trials have no figures, and the line that proves why."
    return Figure("failures", "Failures", lead, tables=(table,), notes=(again,) if again else ())


def _row(kind: str, found: list[tuple[Trial, Failure]]) -> tuple[str, ...]:
    numbers = ", ".join(str(trial.number) for trial, _ in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    _, failure = next(((trial, one) for trial, one in found if one.evidence), found[0])
    return kind.replace("_", " "), str(len(found)), f"{numbers}{more}", failure.evidence or "–", failure.advice or "–"
