"""The planner's suggestions as a study's next trials."""

from collections.abc import Sequence

from tests.fakes.builders import make_trial
from tests.fakes.shapes import make_device, make_model
from tuner.domain.events import Event, Noted
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.plan import Demand
from tuner.domain.space import SearchSpace
from tuner.domain.trial import Trial, TrialRole, TrialState
from tuner.study.arithmetic import Arithmetic
from tuner.study.headstart import HeadStart

SPACE = SearchSpace.model_validate(
    {
        "parameters": {
            "max-num-seqs": {"type": "int", "low": 1, "high": 1024, "log": True},
            "max-num-batched-tokens": {"type": "int", "low": 16, "high": 32768, "log": True},
        }
    }
)
BASELINE = make_trial(0, role=TrialRole.BASELINE)


def head_start(
    arithmetic: Arithmetic | str, *, space: SearchSpace = SPACE, told: list[Event] | None = None
) -> HeadStart:
    return HeadStart(space, {}, arithmetic, (told if told is not None else []).append)


def arithmetic(rps: float = 20) -> Arithmetic:
    base: dict[str, FlagValue] = {"max-model-len": 4096}
    return Arithmetic(make_model(), make_device(), Demand(input_tokens=500, output_tokens=50, rps=rps), base, "0.32.0")


def suggested(flags: Sequence[Flags], state: TrialState = TrialState.MEASURED) -> list[Trial]:
    return [make_trial(n, flags=one, role=TrialRole.SUGGESTED, state=state) for n, one in enumerate(flags, start=1)]


def test_there_are_three_at_the_most_the_targets_first():
    plan = arithmetic()
    found = head_start(plan)([BASELINE])
    assert 1 < len(found) <= 3
    assert found[0] == plan.suggestions([BASELINE])[0]


def test_it_is_calculated_once_and_the_reason_is_said_once():
    told: list[Event] = []
    nothing = head_start("no such architecture", told=told)
    assert nothing([BASELINE]) == nothing([BASELINE]) == ()
    assert told == [Noted("no head start: no such architecture")]


def test_a_space_that_tunes_neither_limit_has_none():
    told: list[Event] = []
    space = SearchSpace.model_validate({"parameters": {"enable-prefix-caching": {"type": "bool"}}})
    assert head_start(arithmetic(), space=space, told=told)([BASELINE]) == ()
    assert told == [
        Noted("no head start: the search space tunes none of max-num-seqs, max-num-batched-tokens"),
    ]


def test_once_the_sampler_has_begun_there_is_none():
    begun = [BASELINE, make_trial(1, role=TrialRole.SAMPLED)]
    assert head_start(arithmetic())(begun) == ()


def test_a_second_session_goes_on_where_the_first_one_stopped():
    first = head_start(arithmetic())([BASELINE])
    again = head_start(arithmetic())([BASELINE, *suggested(first[:1])])
    assert again == first


def test_a_machine_that_measures_differently_later_adds_no_more_than_are_missing():
    first = head_start(arithmetic())([BASELINE])
    later = head_start(arithmetic(rps=200))([BASELINE, *suggested(first)])
    assert later == first


def test_an_interrupted_suggestion_is_still_one():
    first = head_start(arithmetic())([BASELINE])
    lost = suggested(first[:1], TrialState.INTERRUPTED)
    assert head_start(arithmetic())([BASELINE, *lost]) == first
