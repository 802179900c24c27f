from pathlib import Path
from typing import Any

import pytest

from tests.fakes.builders import BEGAN, make_ladder, make_study, make_trial
from tuner.deploy.deployable import Deployable
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Launch, Provenance, Purpose, Trial
from tuner.study.answer import best_answer
from tuner.study.deploying import deployable

HERE = Path("/srv/night")
ARGV = (".venv/bin/python", "-m", "vllm.entrypoints.cli.main", "serve", "tiny", "--port=40001")
ON_GPU = Provenance(device="NVIDIA H100", driver="550.54", vllm_version="0.32.0", model_identity="a" * 40)


def a_launch(attempt: int = 1, *, ready: float | None = 60.0, **changes: Any) -> Launch:
    values: dict[str, Any] = {
        "id": attempt, "trial_id": 2, "attempt": attempt, "argv": ARGV, "log_path": "x", "started_at": BEGAN,
        "ready_after": ready, "provenance": ON_GPU,
    }  # fmt: skip
    return Launch.model_validate(values | changes)


def a_trial(*launches: Launch) -> Trial:
    capacity = Capacity(rps=6.0, lower_rps=5.0, upper_rps=7.0, confidence=0.9)
    return make_trial(1, flags={"max-num-seqs": 8}, points=make_ladder(6.0), capacity=capacity, launches=launches)


def deployed(trial: Trial, *, cwd: Path = HERE, target_rps: float = 2.0, **spec: Any) -> Deployable:
    study = make_study(**spec)
    found = best_answer(study, [trial], target_rps=target_rps, headroom=2.0, slos=study.spec.slos)
    return deployable(study, trial, found, cwd=cwd)


def test_what_is_deployed_is_what_was_measured_with_what_the_answer_says_of_it():
    found = deployed(a_trial(a_launch()), engine={"flags": {"enforce-eager": True}, "env": {"VLLM_A": "1"}})
    assert (found.study, found.trial, found.model) == ("night", 1, "m/tiny")
    assert found.flags == {"max-model-len": 160, "enforce-eager": True, "max-num-seqs": 8}
    assert found.capacity == Capacity(rps=6.0, lower_rps=5.0, upper_rps=7.0)
    assert (found.target_rps, found.headroom, found.slos) == (2.0, 2.0, ("ttft_p95 ≤ 500 ms",))
    assert (found.on_gpu, found.provenance, found.env) == (True, ON_GPU, {"VLLM_A": "1"})
    assert found.python == ("/srv/night/.venv/bin/python", "-m", "vllm.entrypoints.cli.main", "serve")
    assert found.cautions == ()


def test_replicas_are_the_answers():
    assert deployed(a_trial(a_launch())).replicas == 1
    assert deployed(a_trial(a_launch()), target_rps=7.0).replicas == 3


def test_the_slowest_start_of_the_configuration_counts_and_the_program_of_its_measurement():
    later = a_launch(3, ready=80.0, purpose=Purpose.CONFIRM, argv=("/other", *ARGV[1:]))
    found = deployed(a_trial(a_launch(1, ready=None), a_launch(2, ready=60.0), later))
    assert found.started_in == 80.0
    assert found.python[0] == "/srv/night/.venv/bin/python"
    assert deployed(a_trial()).started_in is None


def test_an_engine_whose_module_is_no_command_is_kept():
    argv = ("/opt/python", "-m", "vllm.entrypoints.openai.api_server", "--model=tiny", "--port=40001")
    assert deployed(a_trial(a_launch(argv=argv))).python == argv[:3]


@pytest.mark.parametrize(
    ("model", "identity", "is_directory"),
    [
        ("Qwen/Qwen3-8B", "b" * 40, False),
        ("Qwen/Qwen3-8B", None, False),
        ("models/tiny", "0123456789abcdef", True),
        ("./tiny", None, True),
        ("/srv/models/tiny", None, True),
    ],
)
def test_a_directory_is_told_from_a_hub_name(model: str, identity: str | None, is_directory: bool):
    provenance = ON_GPU.model_copy(update={"model_identity": identity})
    assert deployed(a_trial(a_launch(provenance=provenance)), model=model).is_directory is is_directory


def test_a_directory_becomes_an_absolute_path_and_one_that_is_missing_a_caution(tmp_path: Path):
    (tmp_path / "tiny").mkdir()
    there = deployed(a_trial(), cwd=tmp_path, model="./tiny")
    assert (there.model, there.cautions) == (str(tmp_path / "tiny"), ())
    assert deployed(a_trial(), cwd=tmp_path, model="./other").cautions == (
        f"there is no directory {tmp_path}/other here.",
    )
