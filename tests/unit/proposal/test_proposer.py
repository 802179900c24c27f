"""Ask and tell against a real SQLite file."""

from pathlib import Path

import optuna
import pytest

from tuner.domain.study import Sampler, SamplerName, StudySpec
from tuner.proposal.proposer import Proposer, open_proposer
from tuner.proposal.samplers import make_sampler, trial_seed

SPACE = {
    "parameters": {
        "max-num-seqs": {"type": "int", "low": 8, "high": 128, "log": True},
        "max-num-batched-tokens": {"type": "int", "low": 64, "high": 1024, "step": 64},
        "enable-prefix-caching": {"type": "bool"},
        "long-prefill-token-threshold": {
            "type": "int",
            "low": 16,
            "high": 64,
            "only_when": "enable-prefix-caching and max-num-seqs > 32",
        },
    }
}
DEFAULTS = {"max-num-seqs": 256, "max-num-batched-tokens": 2048, "enable-prefix-caching": True}
WORST_AND_BEST = {"capacity_rps": 4.0, "ttft_p95": 0.5}


def spec(sampler: SamplerName = SamplerName.TPE, seed: int = 3) -> StudySpec:
    return StudySpec.model_validate(
        {
            "study": "s",
            "model": "m",
            "search_space": SPACE,
            "slos": {"ttft_p95": "500ms"},
            "sampler": {"name": sampler.value, "seed": seed, "startup_trials": 4},
        }
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/results.db"


def opened(url: str, study: StudySpec | None = None) -> Proposer:
    return open_proposer(url, study or spec(), ["maximize", "minimize"])


def stored(url: str) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=url)


def measure(proposer: Proposer, number: int) -> None:
    proposal = proposer.ask()
    seqs = float(proposal.flags["max-num-seqs"])
    proposer.tell_measured(proposal, {"capacity_rps": seqs, "ttft_p95": 1 / (1 + number)}, {"ttft_p95": -0.1})


def baseline(proposer: Proposer) -> None:
    proposal = proposer.ask_fixed({})
    proposer.remember(proposal, DEFAULTS)
    proposer.tell_measured(proposal, WORST_AND_BEST, {"ttft_p95": 0.0})


def test_the_baseline_carries_its_resolved_values_although_they_lie_outside_the_range(url: str):
    baseline(opened(url))
    trial = stored(url).trials[0]
    assert trial.params["max-num-seqs"] == 256
    assert trial.params["max-num-batched-tokens"] == 2048


@pytest.fixture
def relative_space(url: str) -> list[set[str]]:
    proposer = opened(url)
    baseline(proposer)
    for number in range(6):
        measure(proposer, number)
    study = stored(url)
    sampler = make_sampler(spec().sampler, 7)
    assert isinstance(sampler, optuna.samplers.TPESampler)
    sampler.infer_relative_search_space(study, study.trials[-1])
    group = sampler._search_space_group  # pyright: ignore[reportPrivateUsage]  # nothing public tells
    assert group is not None
    return [set(space) for space in group.search_spaces]


def test_tpe_samples_the_unconditional_parameters_jointly_after_a_baseline(relative_space: list[set[str]]):
    assert {"max-num-seqs", "max-num-batched-tokens", "enable-prefix-caching"} in relative_space


def test_conditions_decide_which_flags_are_proposed(url: str):
    proposer = opened(url, spec(SamplerName.RANDOM))
    proposals = [proposer.ask().flags for _ in range(24)]
    for flags in proposals:
        conditional = bool(flags["enable-prefix-caching"]) and int(flags["max-num-seqs"]) > 32
        assert ("long-prefill-token-threshold" in flags) == conditional
    assert 0 < sum("long-prefill-token-threshold" in flags for flags in proposals) < 24


def test_a_failure_of_the_configuration_is_complete_violated_unmeasured_and_has_the_worst_values(url: str):
    proposer = opened(url)
    baseline(proposer)
    measure(proposer, 0)
    proposer.tell_violated(proposer.ask(), "oom_start")
    trial = stored(url).trials[-1]
    assert trial.state is optuna.trial.TrialState.COMPLETE
    assert trial.user_attrs["measured"] is False
    assert max(trial.constraints.values()) > 0
    assert trial.values == [4.0, 1.0]


def test_how_far_a_trial_is_from_failing_is_told_on_both_sides(url: str):
    proposer = opened(url)
    proposer.tell_measured(proposer.ask(), WORST_AND_BEST, {"ttft_p95": -0.1}, margin=2.5)
    proposer.tell_violated(proposer.ask(), "oom_start", violation=1.5)
    proposer.tell_violated(proposer.ask(), "infeasible", violation=0.0)
    assert [trial.constraints["failure"] for trial in stored(url).trials] == [-2.5, 1.5, 0.1]


def test_the_random_start_lasts_until_enough_trials_are_measured(url: str):
    """Startup trials that failed have shown nothing about speed."""
    random, proposer = opened(f"{url}.random", spec(SamplerName.RANDOM)), opened(url)
    for _ in range(6):
        proposer.tell_violated(proposer.ask(), "oom_start")
        random.tell_violated(random.ask(), "oom_start")
    assert proposer.ask().flags == random.ask().flags


def test_a_failure_of_the_surroundings_teaches_nothing(url: str):
    proposer = opened(url)
    proposer.tell_failed(proposer.ask(), "port_in_use")
    assert stored(url).trials[0].state is optuna.trial.TrialState.FAIL


def test_best_trials_of_optuna_never_contain_an_unmeasured_one(url: str):
    proposer = opened(url)
    baseline(proposer)
    proposer.tell_violated(proposer.ask(), "oom_start")
    assert [trial.number for trial in stored(url).best_trials] == [0]


def test_a_resumed_study_proposes_what_the_unbroken_one_would_have(tmp_path: Path):
    whole, broken = (f"sqlite:///{tmp_path}/{name}.db" for name in ("whole", "broken"))
    proposer = opened(whole)
    for number in range(7):
        measure(proposer, number)
    for number in range(7):
        measure(opened(broken), number)
    assert [trial.params for trial in stored(whole).trials] == [trial.params for trial in stored(broken).trials]


def test_trials_of_a_killed_tuner_are_found_and_can_be_told(url: str):
    asked = opened(url).ask()
    successor = opened(url)
    assert successor.running() == (asked.trial_id,)
    successor.tell_measured(successor.proposal(asked.trial_id, asked.flags), WORST_AND_BEST, {"ttft_p95": 0.0})
    assert successor.running() == ()
    assert stored(url).trials[0].values == [4.0, 0.5]


def test_exploring_ignores_what_the_sampler_would_propose(url: str):
    proposer = opened(url)
    seen = {tuple(proposer.ask(explore=True).flags.items()) for _ in range(10)}
    assert len(seen) == 10


def test_the_sampler_and_its_arguments_are_stored_with_the_study(url: str):
    opened(url)
    sampler = stored(url).user_attrs["sampler"]
    assert (sampler["name"], sampler["seed"], sampler["multivariate"], sampler["group"]) == ("tpe", 3, True, True)


def test_seeds_of_trials_and_of_studies_differ():
    seeds = {trial_seed(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400


def test_samplers_are_the_ones_named():
    assert isinstance(make_sampler(Sampler(name=SamplerName.RANDOM), 0), optuna.samplers.RandomSampler)
    assert isinstance(make_sampler(Sampler(), 0), optuna.samplers.TPESampler)
