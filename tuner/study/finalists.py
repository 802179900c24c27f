"""Which trials a study measures again before it names one."""

from collections.abc import Sequence

from tuner.analysis import confirmation
from tuner.domain.study import StudySpec
from tuner.domain.trial import Trial
from tuner.study.answer import HEADROOM, contenders


def finalists(trials: Sequence[Trial], spec: StudySpec, most: int) -> tuple[int, ...]:
    """Return the numbers of the best measured trials by the study's own target and SLOs, best first.

    The baseline is left out: it is measured again beside them in any case. What was measured again already changes
    nothing here, so that a confirmation that was cut short goes on with the same trials.
    """
    among = contenders(trials, spec, spec.slos)
    return confirmation.finalists(among, spec.target_rps, HEADROOM, spec.slos, most)
