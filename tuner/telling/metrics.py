"""A study's standing as Prometheus metrics. Pure: clocks are handed in, the endpoint is `tuner.telling.endpoint`.

Metrics are made afresh at each scrape, from one standing: no label outlives what it speaks of, and all of a scrape
belongs together. docs/overnight.md has the table.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tuner import __version__
from tuner.domain.trial import TrialState
from tuner.telling.standing import Phase, Standing

_OUTCOMES = tuple(state for state in TrialState if state is not TrialState.RUNNING)


class StandingCollector(Collector):
    """Tells a registry how a study stands."""

    def __init__(
        self, standing: Callable[[], Standing], *, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        """Take where the newest standing is found, the clock that its times are readings of, and the wall clock."""
        self._standing = standing
        self._clock = clock
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; the registry calls it from the endpoint's thread."""
        standing = self._standing()
        yield _gauge("tuner_build_info", "The tuner's version.", [({"version": __version__}, 1)])
        yield from _progress(standing)
        yield from _findings(standing)
        yield from _times(standing, self._clock(), self._now())


def _progress(standing: Standing) -> Iterator[Metric]:
    study = {"study": standing.study}
    yield _gauge(
        "tuner_trials",
        "Finished trials by outcome, those of earlier sessions included.",
        [({**study, "outcome": state.value}, standing.outcomes.get(state, 0)) for state in _OUTCOMES],
    )
    if standing.budget_trials is not None:
        yield _gauge(
            "tuner_trials_budget",
            "Trials that the study has in the end: measured and failed ones count.",
            [(study, standing.budget_trials)],
        )
    yield _gauge(
        "tuner_launch_phase",
        "What the study is doing: 1 for that phase, 0 for the others.",
        [({**study, "phase": phase.value}, float(phase is standing.phase)) for phase in Phase],
    )
    yield _gauge(
        "tuner_load_point_requests_planned",
        "Requests of the load point at work; 0 outside of one.",
        [(study, standing.requests_planned)],
    )
    yield _gauge(
        "tuner_load_point_requests_done",
        "Requests of the load point at work that ended; 0 outside of one.",
        [(study, standing.requests_done)],
    )
    failures = CounterMetricFamily(
        "tuner_failures", "Failed launches and trials, those of earlier sessions included.", labels=["study", "kind"]
    )
    for kind, count in standing.failures.items():
        failures.add_metric([standing.study, kind.value], count)
    yield failures


def _findings(standing: Standing) -> Iterator[Metric]:
    study = {"study": standing.study}
    yield _gauge("tuner_target_rps", "Requests per second the study is for.", [(study, standing.target_rps)])
    found = standing.best_found
    if found is None:
        return
    capacity = found.capacity
    yield _gauge("tuner_best_trial", "Number of the best trial so far.", [(study, found.number)])
    yield _gauge(
        "tuner_best_capacity_rps",
        "Requests per second that the best trial so far sustains with its SLOs met; 0 when no rate held.",
        [(study, capacity.rps)],
    )
    yield _gauge("tuner_best_capacity_lower_rps", "Lower end of its interval.", [(study, capacity.lower_rps)])
    upper = float("inf") if capacity.upper_rps is None else capacity.upper_rps
    yield _gauge("tuner_best_capacity_upper_rps", "Upper end of it; +Inf when no rate broke.", [(study, upper)])


def _times(standing: Standing, clock: float, now: datetime) -> Iterator[Metric]:
    study = {"study": standing.study}
    left = standing.seconds_left(clock)
    if left is not None:
        yield _gauge("tuner_study_left_seconds", "Seconds the study will still take, about.", [(study, left)])
    if standing.ready_s is not None:
        yield _gauge(
            "tuner_launch_ready_seconds",
            "Seconds from the start of the last launch that became ready to its first correct completion.",
            [(study, standing.ready_s)],
        )
    yield _gauge(
        "tuner_last_event_timestamp_seconds",
        "Unix time of the study's last sign of progress.",
        [(study, now.timestamp() - (clock - standing.at))],
    )


def _gauge(name: str, help_text: str, samples: Iterable[tuple[dict[str, str], float]]) -> Metric:
    family = GaugeMetricFamily(name, help_text)
    for labels, value in samples:
        family.add_sample(name, labels, value)
    return family
