"""What is refused after launches that failed, and in which words."""

from collections.abc import Sequence
from typing import Any

import pytest

from tuner.domain.failure import FailureKind
from tuner.domain.flags import FlagValue
from tuner.domain.space import SearchSpace
from tuner.space.learned import Ended, Limits, coordinates

SPACE = SearchSpace.model_validate(
    {
        "parameters": {
            "max-num-seqs": {"type": "int", "low": 8, "high": 1024, "log": True},
            "gpu-memory-utilization": {"type": "float", "low": 0.5, "high": 0.98},
            "kv-cache-dtype": {"type": "categorical", "choices": ["auto", "fp8"]},
            "enable-chunked-prefill": {"type": "bool"},
        }
    }
)
OOM = FailureKind.OOM_START


def values(seqs: int | str = 64, share: float = 0.7, dtype: str = "auto", **changes: Any) -> dict[str, FlagValue]:
    found = {"max-num-seqs": seqs, "gpu-memory-utilization": share, "kv-cache-dtype": dtype}
    return {**found, "enable-chunked-prefill": True, **changes}


def ended(*outcomes: tuple[int, FailureKind | None]) -> tuple[Ended, ...]:
    return tuple(Ended(number, values(seqs), failure) for number, (seqs, failure) in enumerate(outcomes))


RAN = ended((16, None), (32, None), (64, None), (128, None))
CLIFF = (*RAN, Ended(4, values(512), OOM), Ended(9, values(700), OOM), Ended(11, values(600), OOM))


def refused(known: Sequence[Ended], seqs: int, *, in_a_row: int = 0) -> bool:
    return Limits(SPACE, known).doubt(values(seqs), in_a_row=in_a_row) is not None


def test_nothing_is_refused_before_the_first_failure():
    assert not any(refused(RAN, seqs) for seqs in (8, 100, 1024))
    assert not refused((), 1024)
    assert Limits(SPACE, RAN).probability(values(1024)) == 0


def test_beyond_failures_everything_is_refused_and_among_what_ran_nothing():
    assert refused(CLIFF, 1000)
    assert refused(CLIFF, 560)
    assert not refused(CLIFF, 60)
    assert not refused(CLIFF, 8)


def test_the_sentence_names_the_nearest_failures_and_how_they_differ():
    doubt = Limits(SPACE, CLIFF).doubt(values(1000), in_a_row=0)
    assert doubt is not None
    assert doubt.evidence.startswith("trials 4, 9 and 11 ran out of memory with smaller max-num-seqs: ")
    assert doubt.evidence.endswith("% likely to fail too")


def test_a_single_failure_reads_well_too():
    doubt = Limits(SPACE, (*RAN, Ended(7, values(512), FailureKind.INVALID_ARGS))).doubt(values(512), in_a_row=0)
    assert doubt is not None
    assert doubt.evidence.startswith("trial 7 was refused by vLLM with much the same flags")


def test_the_violation_grows_with_the_probability():
    near, far = (Limits(SPACE, CLIFF).doubt(values(seqs), in_a_row=0) for seqs in (430, 700))
    assert near is not None
    assert far is not None
    assert 0 < near.violation < far.violation
    assert near.probability < far.probability


def test_refusals_in_a_row_open_the_way_to_the_edge_and_at_last_to_everything():
    assert refused(CLIFF, 430)
    assert not refused(CLIFF, 430, in_a_row=30)
    assert not refused(CLIFF, 1000, in_a_row=60)


def test_when_failures_took_more_than_their_share_the_bar_is_lower():
    many = (*CLIFF, *(Ended(20 + number, values(32), None) for number in range(60)))
    bars = [next(row for row in range(80) if not refused(known, 700, in_a_row=row)) for known in (CLIFF, many)]
    assert bars[0] > bars[1]


def test_what_ran_has_a_negative_margin_and_what_failed_a_positive_one():
    limits = Limits(SPACE, CLIFF)
    for one in CLIFF:
        assert (limits.log_odds(one.values) > 0) == (one.failure is not None)


@pytest.mark.parametrize("omitted", [{"max-num-seqs": None}, {"max-num-seqs": "auto"}])
def test_an_omitted_flag_is_a_place_of_its_own(omitted: dict[str, Any]):
    point = coordinates(SPACE, {**values(), **omitted})
    assert point[:2] == [0.5, 1.0]


def test_what_takes_less_memory_than_something_that_ran_is_not_doubted():
    limits = Limits(SPACE, CLIFF)
    assert limits.probability(values(127, share=0.5)) <= 0.05
    assert limits.probability(values(513, share=0.98)) >= 0.9


def test_too_small_a_cache_turns_the_direction_of_the_memory_share():
    known = (Ended(0, values(64, share=0.7), None), Ended(1, values(64, share=0.6), FailureKind.KV_TOO_SMALL))
    assert Limits(SPACE, known).probability(values(64, share=0.9)) <= 0.05
    assert Limits(SPACE, known).probability(values(64, share=0.55)) >= 0.9


def test_where_launches_break_the_order_of_memory_it_is_not_believed():
    odd = (*RAN, Ended(5, values(20), OOM))
    assert Limits(SPACE, odd).probability(values(100)) < 0.9


def test_a_death_under_load_says_nothing_about_directions():
    dead = (*RAN, Ended(5, values(512), FailureKind.ENGINE_DEAD))
    by_memory = (*RAN, Ended(5, values(512), OOM))
    far = values(1024, share=0.98, dtype="auto")
    assert Limits(SPACE, dead).probability(far) < Limits(SPACE, by_memory).probability(far)


def test_choices_are_columns_and_a_bool_is_no_number():
    point = coordinates(SPACE, values(dtype="fp8", **{"enable-chunked-prefill": False}))
    assert point[4:] == [0.0, 1.0, 1.0, 0.0]


def test_a_choice_that_fails_is_told_from_one_that_runs():
    known = (
        *RAN,
        *(Ended(10 + n, values(seqs, dtype="fp8"), FailureKind.UNSUPPORTED) for n, seqs in enumerate((16, 64, 128))),
    )
    limits = Limits(SPACE, known)
    assert limits.doubt(values(32, dtype="fp8"), in_a_row=0) is not None
    assert limits.doubt(values(32), in_a_row=0) is None
