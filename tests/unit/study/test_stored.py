"""What a result file tells a study's plan."""

from pathlib import Path

import pytest

from tests.fakes.builders import BEGAN, make_spec, make_trial
from tests.fakes.plans import make_device, make_model
from tests.fakes.workbench import ROOT
from tuner.domain.device import Device
from tuner.domain.errors import InputError
from tuner.domain.plan import Demand
from tuner.domain.study import StudySpec
from tuner.domain.trial import Launch, Provenance, Trial
from tuner.study.plan import plan_for
from tuner.study.stored import Stored, stored


def launched(number: int, device: str | None, version: str | None) -> Trial:
    provenance = Provenance(device=device, vllm_version=version)
    launch = Launch(
        id=number, trial_id=number + 1, attempt=1, argv=(), log_path="", started_at=BEGAN, provenance=provenance
    )
    return make_trial(number, launches=(launch,))


def test_the_last_launch_that_knows_says_on_which_gpu_and_engine():
    trials = (launched(0, "NVIDIA L4", "0.31.0"), launched(1, "NVIDIA H200", "0.32.0"), launched(2, None, None))
    found = Stored(trials)
    assert found.vllm_version == "0.32.0"
    assert found.device is not None
    assert found.device.name == "h200"


def test_a_device_that_the_catalogue_lacks_is_none():
    assert Stored((launched(0, "AMD EPYC 9654", "0.32.0"),)).device is None
    assert Stored().device is None
    assert Stored().vllm_version is None


def ran(device: Device, spec: StudySpec, *, more: float) -> Stored:
    """Two launches whose caches held so many times the tokens that a plan of them says."""
    (made,) = plan_for(MODEL, (device,), spec.base_flags(), DEMAND)
    launch = launched(0, device.title, None).launches[0]
    resolved = {"kv_cache_tokens": round(made.plan.kv_tokens * more)}
    trials = [make_trial(n, launches=(launch.model_copy(update={"resolved": resolved}),)) for n in (0, 1)]
    return Stored(tuple(trials), spec)


MODEL = make_model()
DEMAND = Demand(input_tokens=128, output_tokens=32)
SPEC = make_spec(model=MODEL.name)


def test_launches_correct_the_plan_of_the_device_that_they_ran_on():
    here = make_device()
    learned = ran(here, SPEC, more=0.99).calibration(MODEL, here, DEMAND)
    assert learned is not None
    assert learned.launches == 2
    (before,) = plan_for(MODEL, (here,), SPEC.base_flags(), DEMAND)
    corrections = {here.name: learned.corrections}
    (after,) = plan_for(MODEL, (learned.device,), SPEC.base_flags(), DEMAND, corrections=corrections)
    assert after.plan.kv_tokens == pytest.approx(0.99 * before.plan.kv_tokens, rel=0.003)


def test_another_device_or_another_model_learns_nothing_from_them():
    known = ran(make_device(), SPEC, more=0.99)
    assert known.calibration(MODEL, make_device(name="other", title="Other GPU"), DEMAND) is None
    assert known.calibration(make_model(name="org/other"), make_device(), DEMAND) is None
    assert Stored((), SPEC).calibration(MODEL, make_device(), DEMAND) is None
    assert Stored().calibration(MODEL, make_device(), DEMAND) is None


def test_before_its_first_run_nothing_is_known(tmp_path: Path):
    assert stored("night", str(tmp_path / "results.db")) == Stored()
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_found_by_its_name():
    assert stored("quickstart", str(ROOT / "results.db")).trials
    assert stored("another", str(ROOT / "results.db")) == Stored()


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "notes.db").write_text("no database")
    with pytest.raises(InputError):
        stored("night", str(tmp_path / "notes.db"))
