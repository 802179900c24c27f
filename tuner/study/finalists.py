"""Which trials a study measures again before it names one."""

from collections.abc import Sequence

from tuner.analysis.best import choose
from tuner.domain.study import StudySpec
from tuner.domain.trial import Trial, TrialRole
from tuner.study.answer import HEADROOM, contenders


def finalists(trials: Sequence[Trial], spec: StudySpec, most: int) -> tuple[int, ...]:
    """Return the numbers of the best measured trials by the study's own target and SLOs, best first.

    The baseline is left out: it is measured again beside them in any case. What was measured again already changes
    nothing here, so that a confirmation that was cut short goes on with the same trials.
    """
    left = [one for one in contenders(trials, spec, spec.slos) if one.trial.role is not TrialRole.BASELINE]
    found: list[int] = []
    while left and len(found) < most:
        best = choose(left, spec.target_rps, HEADROOM, spec.slos)
        found.append(best.trial.number)
        left.remove(best)
    return tuple(found)
