"""How far figures may be off: within a launch, and between launches."""

import math

import numpy as np
import pytest

from tests.fakes.builders import make_distribution, make_trial
from tests.fakes.nights import launch
from tuner.analysis.contender import Contender
from tuner.analysis.noise import (
    BETWEEN_LAUNCHES,
    Figure,
    Spread,
    between_launches,
    launch_noise,
    of_capacity,
    percentile_error,
    pooled,
)
from tuner.domain.measurement import Capacity, Distribution
from tuner.domain.slo import Percentile, parse_slo
from tuner.domain.trial import Purpose, TrialRole

SLOS = (parse_slo("ttft_p95=500ms"),)


def test_a_90_percent_interval_spans_two_times_1_645_standard_deviations_of_the_logarithm():
    figure = of_capacity(Capacity(rps=10.0, lower_rps=9.0, upper_rps=12.0))
    assert figure.log == math.log(10)
    assert math.sqrt(figure.variance) == pytest.approx(math.log(12 / 9) / 2 / 1.645, rel=1e-3)


def test_of_an_interval_with_an_open_end_the_other_half_tells():
    above = of_capacity(Capacity(rps=10.0, lower_rps=9.0, upper_rps=None))
    assert above.is_open
    assert math.sqrt(above.variance) == pytest.approx(math.log(10 / 9) / 1.645, rel=1e-3)
    below = of_capacity(Capacity(rps=10.0, upper_rps=12.0))
    assert math.sqrt(below.variance) == pytest.approx(math.log(12 / 10) / 1.645, rel=1e-3)


def test_where_nothing_held_the_lowest_rate_that_broke_is_what_is_known():
    assert of_capacity(Capacity(rps=0.0, upper_rps=2.0)) == Figure(math.log(2), 0.0, held=False)
    assert of_capacity(Capacity(rps=0.0, upper_rps=None)) == Figure(math.log(1e-9), 0.0, is_open=True, held=False)


def test_more_requests_make_a_percentile_surer_and_a_longer_tail_less_sure():
    def error(count: int, tail: float) -> float:
        sample = Distribution(count=count, mean=0.1, p50=0.1, p90=0.2, p95=0.2 + tail)
        return percentile_error(sample, Percentile.P95)

    assert error(400, 0.05) == pytest.approx(error(100, 0.05) / 2)
    assert error(100, 0.2) > error(100, 0.05)


def test_the_error_of_a_percentile_is_that_of_exponential_tails():
    draw = np.random.default_rng(0)
    runs = draw.exponential(0.1, (2000, 500))
    p50, p90, p95, p99 = np.quantile(runs, [0.5, 0.9, 0.95, 0.99])
    told = percentile_error(Distribution(count=2000, mean=0.1, p50=p50, p90=p90, p95=p95, p99=p99), Percentile.P95)
    assert told == pytest.approx(np.quantile(runs, 0.95, axis=1).std(), rel=0.1)


def test_without_other_percentiles_little_is_known_of_one():
    assert percentile_error(Distribution(count=5, mean=0.1, p50=0.1), Percentile.P50) == pytest.approx(0.025)


def test_without_repeats_the_spread_of_launches_is_assumed():
    assert between_launches([[Figure(0.0, 0.01)]], 0.02) == Spread(0.02**2)


@pytest.mark.parametrize("truth", [0.0, 0.02, 0.06])
def test_repeats_tell_how_much_launches_differ_beyond_what_each_tells_itself(truth: float):
    draw = np.random.default_rng(1)
    groups = [[Figure(draw.normal(0, math.hypot(0.03, truth)), 0.03**2) for _ in range(5)] for _ in range(400)]
    found = between_launches(groups, 0.02)
    assert found.variance == pytest.approx(truth**2, abs=1.2e-4)
    assert found.freedom == 1600


def test_a_few_repeats_that_agree_do_not_prove_launches_equal():
    assert between_launches([[Figure(0.0, 0.0), Figure(0.0, 0.0)]], 0.02).variance == pytest.approx(2 / 3 * 0.02**2)


def test_an_estimated_spread_makes_figures_less_sure_than_the_same_spread_for_certain():
    figures = [Figure(0.0, 0.01)] * 4
    assert pooled(figures, Spread(0.01, 6)).variance > pooled(figures, Spread(0.01)).variance


def test_launches_weigh_by_both_variances():
    found = pooled([Figure(0.0, 0.01), Figure(1.0, 0.03)], Spread(0.01))
    assert found.log == pytest.approx(1 / 3)
    assert found.variance == pytest.approx(1 / (1 / 0.02 + 1 / 0.04))


def test_drift_checks_of_the_baseline_count_as_repeats_and_a_chosen_trials_own_launch_does_not():
    def launches(role: TrialRole) -> Contender:
        trial = make_trial(0, role=role)
        rates = {1: (Purpose.MEASURE, 10.0), 2: (Purpose.DRIFT, 13.0), 3: (Purpose.DRIFT, 8.0)}
        its = tuple(
            _launch(attempt, purpose, Capacity(rps=rps, lower_rps=rps / 1.01, upper_rps=rps * 1.01))
            for attempt, (purpose, rps) in rates.items()
        )
        return Contender(trial.model_copy(update={"launches": its}), Capacity(rps=10, upper_rps=11), ())

    assert launch_noise([launches(TrialRole.BASELINE)], 2.0, SLOS).capacity.freedom == 2
    assert launch_noise([launches(TrialRole.SAMPLED)], 2.0, SLOS).capacity == Spread(BETWEEN_LAUNCHES**2)


def _launch(attempt: int, purpose: Purpose, capacity: Capacity):
    return launch(0, attempt, purpose).model_copy(update={"capacity": capacity})


def test_the_builders_distribution_supports_an_error():
    assert percentile_error(make_distribution(0.1), Percentile.P95) > 0
