"""A study's trials as lists show them: at a glance, with the figures at its target rate."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.analysis.drift import Drift, drift
from tuner.analysis.explain import is_throttled
from tuner.domain.overview import Overview
from tuner.domain.trial import Purpose, Study
from tuner.store.reader import Reader

LISTED = ("ttft_p95", "tpot_p95", "goodput_rps")
"""The figures of a list."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list shows."""

    trials: Sequence[Overview]
    """By number."""
    drift: Drift | None
    """None also where the baseline was never measured again."""


def listing(study: Study, results: Reader) -> Listing:
    """Return a study's trials; those with a sign of heat are read whole, to tell whether it was throttled."""
    found = results.overviews(study.id, study.spec.target_rps, LISTED)
    whole = results.trials(study.id, numbers=[one.number for one in found if one.throttled])
    hot = {trial.number for trial in whole if any(map(is_throttled, trial.judged_points))}
    told = [one._replace(throttled=one.number in hot) if one.throttled else one for one in found]
    return Listing(told, stored_drift(study, results))


def stored_drift(study: Study, results: Reader) -> Drift | None:
    """Return what the baseline's later measurements say; None also where there are none. The baseline is trial 0."""
    baseline = results.trials(study.id, load_points=False, numbers=[0])
    checked = any(one.launches_for(Purpose.DRIFT) or one.launches_for(Purpose.CONFIRM) for one in baseline)
    return drift(results.trials(study.id, load_points=False)) if checked else None
