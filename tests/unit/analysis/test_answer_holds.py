"""Whatever was measured, the answer names a measured trial, its intervals are in order, and JSON carries it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.builders import make_point, make_trial
from tuner.analysis.best import Answer, answer
from tuner.analysis.confirmation import finalists
from tuner.analysis.contender import Contender
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole

SLOS = (parse_slo("ttft_p95=500ms"),)


@st.composite
def capacities(draw: st.DrawFn) -> Capacity:
    rps = draw(st.sampled_from([0.0, 2.0, 8.0, 8.1, 30.0]))
    above = draw(st.sampled_from([None, 1.0, 1.05, 2.0]))
    upper = None if above is None else (rps or 1.5) * above
    lower = rps / draw(st.sampled_from([1.0, 1.05, 2.0])) if draw(st.booleans()) else 0.0
    return Capacity(
        rps=rps, lower_rps=lower, upper_rps=upper, limited_by=draw(st.sampled_from(["", "queue", "ttft_p95"]))
    )


@st.composite
def fields(draw: st.DrawFn) -> list[Contender]:
    return [
        Contender(
            make_trial(
                number,
                flags={f"flag-{place}": 1 for place in range(draw(st.integers(0, 2)))},
                role=TrialRole.BASELINE if number == 0 and draw(st.booleans()) else TrialRole.SAMPLED,
            ),
            draw(capacities()),
            (make_point(2.0, ttft=draw(st.sampled_from([0.0, 0.1, 0.4]))),) if draw(st.booleans()) else (),
            repeats=tuple(draw(st.lists(capacities(), max_size=3))),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


def asked(contenders: list[Contender], needed: float) -> Answer:
    return answer("night", "m", {}, contenders, target_rps=needed / 2, headroom=2.0, slos=SLOS)


@settings(max_examples=80, deadline=None)
@given(fields(), st.sampled_from([1.0, 8.0, 500.0]))
def test_an_answer_names_a_measured_trial_with_intervals_in_order_and_fits_into_json(
    contenders: list[Contender], needed: float
):
    found = asked(contenders, needed)
    numbers = {one.trial.number for one in contenders}
    assert found.trial in numbers
    assert set(found.ties) <= numbers
    assert not (found.ties and found.clear_winner)
    json.dumps(found.model_dump(mode="json"), allow_nan=False)
    one = found.gain
    if one is not None and one.ratio is not None and one.lower is not None and one.upper is not None:
        assert 0 <= one.lower <= one.ratio * (1 + 1e-9)
        assert one.ratio <= one.upper * (1 + 1e-9)
    assert all(sentence.endswith(".") for sentence in (*found.why, found.confirmed.text))


@settings(max_examples=40, deadline=None)
@given(fields(), st.integers(0, 3))
def test_finalists_are_measured_trials_without_the_defaults_and_no_more_than_wanted(
    contenders: list[Contender], most: int
):
    chosen = finalists(contenders, 4.0, 2.0, SLOS, most)
    assert len(chosen) == len(set(chosen)) <= most
    assert set(chosen) <= {one.trial.number for one in contenders if not one.is_baseline}


@settings(max_examples=40, deadline=None)
@given(fields(), st.sampled_from([1.0, 500.0]))
def test_the_order_in_which_trials_are_given_changes_no_answer(contenders: list[Contender], needed: float):
    there, back = asked(contenders, needed), asked(contenders[::-1], needed)
    assert (there.trial, there.ties, there.confirmed.status) == (back.trial, back.ties, back.confirmed.status)
