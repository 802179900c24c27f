"""When requests are meant to start."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.arrivals import (
    Arrivals,
    ClosedLoop,
    ConstantArrivals,
    GammaArrivals,
    PoissonArrivals,
    RampArrivals,
    TraceArrivals,
)
from tuner.load.arrivals import schedule

RATES = st.floats(0.01, 1000)
OPEN = st.one_of(
    st.builds(PoissonArrivals, rate=RATES),
    st.builds(ConstantArrivals, rate=RATES),
    st.builds(GammaArrivals, rate=RATES, burstiness=st.floats(0.1, 10)),
    st.builds(RampArrivals, from_rate=RATES, to_rate=RATES),
)


def gaps(arrivals: Arrivals, requests: int = 20_000, seed: int = 3) -> np.ndarray:
    times = schedule(arrivals, requests, seed)
    assert times is not None
    return np.diff(times, prepend=0.0)


def test_a_closed_loop_has_no_schedule():
    assert schedule(ClosedLoop(concurrency=4), 10, 1) is None


@given(arrivals=OPEN, requests=st.integers(1, 200), seed=st.integers(0, 2**40))
def test_a_schedule_rises_from_zero_and_its_seed_gives_it_again(arrivals: Arrivals, requests: int, seed: int):
    times = schedule(arrivals, requests, seed)
    assert times is not None
    assert times.shape == (requests,)
    assert np.isfinite(times).all()
    assert times[0] >= 0
    assert (np.diff(times) >= 0).all()
    again = schedule(arrivals, requests, seed)
    assert again is not None
    assert np.array_equal(times, again)


@pytest.mark.parametrize(
    ("arrivals", "variation"),
    [
        (PoissonArrivals(rate=8.0), 1.0),
        (ConstantArrivals(rate=8.0), 0.0),
        (GammaArrivals(rate=8.0, burstiness=0.25), 2.0),
        (GammaArrivals(rate=8.0, burstiness=4.0), 0.5),
    ],
)
def test_gaps_have_the_rate_and_the_burstiness(arrivals: Arrivals, variation: float):
    drawn = gaps(arrivals)
    assert drawn.mean() == pytest.approx(1 / 8, rel=0.03)
    assert drawn.std() / drawn.mean() == pytest.approx(variation, abs=0.06)


@pytest.mark.parametrize(("start", "end"), [(2.0, 18.0), (18.0, 2.0), (10.0, 10.0)])
def test_a_ramp_goes_from_one_rate_to_the_other(start: float, end: float):
    times = schedule(RampArrivals(from_rate=start, to_rate=end), 40_000, 5)
    assert times is not None
    whole = 40_000 / 10
    assert times[-1] == pytest.approx(whole, rel=0.03)
    for share in (0.05, 0.5, 0.95):
        near = np.abs(times - share * whole) < 0.03 * whole
        assert near.sum() / (0.06 * whole) == pytest.approx(start + share * (end - start), rel=0.1)


def test_a_trace_keeps_its_moments_and_its_clock_can_run_faster():
    times = schedule(TraceArrivals(speed=2.0), 3, 1, [0.0, 1.0, 4.0, 9.0])
    assert times is not None
    assert times.tolist() == [0.0, 0.5, 2.0]
    with pytest.raises(ValueError, match="moments for 0"):
        schedule(TraceArrivals(), 3, 1)
