"""Why a configuration is named, in two sentences."""

from tests.fakes.builders import make_point, make_trial
from tuner.analysis.contender import Contender
from tuner.analysis.reasons import changed_text, why
from tuner.analysis.ties import race
from tuner.domain.measurement import Capacity
from tuner.domain.slo import parse_slo
from tuner.domain.trial import TrialRole

SLOS = (parse_slo("ttft_p95=500ms"), parse_slo("tpot_p95=50ms"))


def contender(number: int, rps: float, limit: str = "ttft_p95", *, ttft: float = 0.1, upper: float | None = 1.05):
    capacity = Capacity(rps=rps, lower_rps=rps / 1.05, upper_rps=upper and rps * upper, limited_by=limit)
    flags = {"max-num-seqs": 32 * number} if number else {}
    role = TrialRole.SAMPLED if number else TrialRole.BASELINE
    return Contender(make_trial(number, flags=flags, role=role), capacity, (make_point(2.0, ttft=ttft),))


def reasons(*contenders: Contender, needed: float = 1000.0) -> tuple[str, str]:
    return why(race(contenders, 2.0, needed / 2, SLOS), {}, target_rps=2.0, slos=SLOS)


def test_the_limit_that_binds_stands_with_its_figures_and_the_others_with_what_they_lost():
    first, second = reasons(contender(0, 10.0, "queue"), contender(1, 20.0), contender(2, 15.0, "tpot_p95"))
    assert first == (
        "Above about 20 req/s TTFT p95 breaks its limit of 500 ms first; "
        "at 2 req/s it uses 40% of its TPOT p95 limit (20.0 ms of 50.0 ms)."
    )
    assert second == (
        "The next best, trial 2 (max-num-seqs 64), sustained 25% less: TPOT p95 breaks its limit of 50.0 ms first; "
        "vLLM's defaults sustained 50% less: its queue grows first."
    )


def test_ties_are_listed_by_number_with_why_this_one_is_named():
    _, second = reasons(contender(0, 10.0), contender(1, 20.0), contender(2, 20.1), contender(3, 20.2))
    assert second.startswith("Trials 2 and 3 can't be told apart from it within noise: of those that measured about as")
    _, second = reasons(contender(0, 20.0), contender(1, 20.1))
    assert second == "Trial 1 can't be told apart from it within noise: it changes the fewest flags."


def test_where_latency_decides_the_others_lost_by_it():
    _, second = reasons(contender(0, 20.0, ttft=0.48), contender(1, 20.0), needed=10.0)
    assert second == (
        "The next best, trial 0 (vLLM's defaults), used 96% of its TTFT p95 limit (480 ms of 500 ms) at the target, "
        "against 40%."
    )


def test_what_nothing_broke_and_what_never_held_are_said_to_be_so():
    first, second = reasons(contender(1, 20.0, "", upper=None), Contender(
        make_trial(0, role=TrialRole.BASELINE), Capacity(rps=0.0, upper_rps=2.0, limited_by="failures"), ()
    ))  # fmt: skip
    assert first.startswith("No measured rate broke a limit, up to 20 req/s;")
    assert second == "The next best, trial 0 (vLLM's defaults), held no measured rate: too many requests fail."
    first, _ = reasons(Contender(make_trial(1), Capacity(rps=0.0, upper_rps=2.0, limited_by="queue"), ()))
    assert first == "No measured rate held: its queue grows at the lowest one already."


def test_a_single_measured_configuration_has_no_neighbours():
    assert reasons(contender(0, 20.0))[1] == "Nothing else was measured."


def test_flags_are_named_as_the_user_spells_them():
    assert changed_text({"enforce-eager": True, "async-scheduling": False, "gpu-memory-utilization": 0.85}) == (
        "enforce-eager, no-async-scheduling, gpu-memory-utilization 0.85"
    )
