"""User requests of several calls: per request, per call, and the time without any."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.domain.load import Outcome, RequestRecord
from tuner.domain.workload import Workload
from tuner.metrics.sessions import idle_share, lead_of, session_figures, step_figures

BOUNDS = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair)))


def call(
    session: int, step: int, start: float, end: float, *, label: str = "", outcome: Outcome = Outcome.OK
) -> RequestRecord:
    """A call whose first token comes half-way."""
    times = ((start + end) / 2, end) if outcome is Outcome.OK else ()
    return RequestRecord(start, start, times, end, outcome, 8, 2, 2, "", session, step, label)


def chain(session: int, start: float) -> list[RequestRecord]:
    """Generation for a second, other work for half a second, correction for half a second."""
    return [
        call(session, 0, start, start + 1, label="generate"),
        call(session, 2, start + 1.5, start + 2, label="correct"),
    ]


def test_requests_that_stand_for_themselves_have_no_sessions():
    assert session_figures([call(-1, 0, 0, 1)]) is None
    assert step_figures([call(-1, 0, 0, 1)]) == ()
    assert session_figures([]) is None


def test_a_chain_of_one_user_leaves_the_engine_idle_between_calls():
    found = session_figures(chain(0, 0.0))
    assert found is not None
    assert (found.completed, found.failed, found.calls_mean) == (1, 0, 2.0)
    assert found.duration.mean == pytest.approx(2.0)
    assert found.idle_share == pytest.approx(0.25)
    assert found.idle_share_one_user == pytest.approx(0.25)


def test_other_work_before_the_first_call_belongs_to_the_session():
    found = session_figures(chain(0, 0.0), lead_s=0.5)
    assert found is not None
    assert found.duration.mean == pytest.approx(2.5)
    assert found.idle_share_one_user == pytest.approx(0.4)


def test_the_lead_of_a_chain_is_all_work_up_to_its_first_call():
    call = {"input_tokens": 8, "output_tokens": 8}
    steps = [
        {"name": "route", "before": "300ms"},
        {"name": "retrieve", "before": {"type": "exponential", "mean": 0.5}},
        {"name": "generate", "before": 0.1, **call},
        {"name": "format", "before": "1s", **call},
    ]
    assert lead_of(Workload.model_validate({"chain": steps})) == pytest.approx(0.9)
    assert lead_of(Workload()) == 0.0


def test_a_second_user_fills_the_gap_of_the_first():
    """Busy from 0 to 2 and from 2.5 to 3: the first one's gap is filled, the second one's is not."""
    found = session_figures(chain(0, 0.0) + chain(1, 1.0))
    assert found is not None
    assert found.idle_share == pytest.approx(1 / 6)
    assert found.idle_share_one_user == pytest.approx(0.25)


def test_a_session_with_a_failed_call_failed():
    broken = [call(1, 0, 3, 4), call(1, 1, 4, 5, outcome=Outcome.CUT)]
    found = session_figures(chain(0, 0.0) + broken)
    assert found is not None
    assert (found.completed, found.failed, found.duration.count) == (1, 1, 1)


def test_sessions_that_all_failed_have_no_duration():
    found = session_figures([call(0, 0, 0, 1, outcome=Outcome.REFUSED)])
    assert found is not None
    assert (found.completed, found.failed, found.duration.mean, found.idle_share_one_user) == (0, 1, None, None)


def test_a_call_that_was_never_sent_is_not_in_flight():
    unsent = RequestRecord(math.nan, math.nan, (), 9.0, Outcome.CANCELLED, 8, 0, 2, "not sent", 1, 0)
    found = session_figures([*chain(0, 0.0), unsent])
    assert found is not None
    assert found.idle_share == pytest.approx(0.25)


def test_steps_are_told_by_label_in_their_order():
    steps = step_figures(chain(1, 1.0) + chain(0, 0.0))
    assert [step.label for step in steps] == ["generate", "correct"]
    assert [step.completed for step in steps] == [2, 2]
    assert steps[0].ttft.mean == pytest.approx(0.5)
    assert steps[1].e2e.mean == pytest.approx(0.5)
    assert steps[1].tpot.mean == pytest.approx(0.25)


def test_turns_of_a_conversation_are_numbered():
    turns = [call(0, turn, turn, turn + 0.5) for turn in range(12)]
    assert [step.label for step in step_figures(turns)] == [f"turn {turn + 1}" for turn in range(12)]


def test_classes_of_a_mix_are_told_apart_without_sessions():
    mix = [call(-1, 0, 0, 1, label="summarise"), call(-1, 0, 0, 1, label="chat", outcome=Outcome.TIMEOUT)]
    assert [(step.label, step.completed, step.failed) for step in step_figures(mix)] == [
        ("chat", 0, 1),
        ("summarise", 1, 0),
    ]


@given(st.lists(BOUNDS, min_size=1, max_size=20))
def test_the_idle_share_is_that_of_a_union_counted_cell_by_cell(bounds: list[tuple[int, int]]):
    first, last = min(start for start, _ in bounds), max(end for _, end in bounds)
    cells = np.zeros(last - first, dtype=np.bool_)
    for start, end in bounds:
        cells[start - first : end - first] = True
    expected = 1.0 - cells.mean() if cells.size else 0.0
    assert idle_share([(float(start), float(end)) for start, end in bounds]) == pytest.approx(expected)


def test_no_interval_leaves_nothing_idle():
    assert idle_share([]) == 0.0
