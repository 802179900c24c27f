"""`tuner show` on a result file that was written by the store: what is stored of the machine is what is told."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.builders import make_point, make_spec
from tuner.domain.measurement import LoadPoint, ServerFigures
from tuner.domain.telemetry import GpuFigures, GpuSample, MachineFigures, MachineSample, ProcessFigures
from tuner.domain.trial import Provenance, TrialRole, TrialState
from tuner.store.location import DatabaseLocation
from tuner.store.writer import open_store

NOW = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
HOT = GpuFigures(index=0, utilisation_mean=0.6, temperature_max_c=92.0, throttled={"hw_thermal_slowdown": 0.5})
MACHINE = MachineFigures(
    samples=50,
    cpu_share_mean=0.4,
    gpus=(HOT,),
    processes=(ProcessFigures(name="VLLM::EngineCore", cpu_share_mean=0.5, cpu_share_max=0.9),),
)
STARVED = ServerFigures(running_mean=2.0, running_max=4, waiting_mean=0.0, waiting_max=0)
SAMPLES = (MachineSample(at=1.0, gpus=(GpuSample(index=0, throttle_reasons=("hw_thermal_slowdown",)),)),)


def point() -> LoadPoint:
    return make_point(2.0).model_copy(update={"machine": MACHINE, "server": STARVED})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "results.db"
    with open_store(DatabaseLocation.parse(str(path))) as store:
        store.create_study(1, make_spec(), Provenance(device="H100"), NOW)
        store.begin_trial(
            1, 1, 0, role=TrialRole.BASELINE, flags={}, resolved={"max-num-seqs": 256}, fingerprint="f", started_at=NOW
        )
        launch = store.begin_launch(1, 1, argv=["python"], log_path="log", started_at=NOW, provenance=Provenance())
        store.save_load_point(1, launch, point(), (), (), SAMPLES)
        store.finish_trial(1, TrialState.MEASURED, ended_at=NOW)
    return path


def show(database: Path, *options: str) -> str:
    return tuner(database, "show", "0", *options)


def tuner(database: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "tuner", *arguments, "--db", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_stored_trial_is_explained_with_its_gpu_and_processes(database: Path):
    text = " ".join(show(database).split())
    assert "hw_thermal_slowdown 50%" in text
    assert "VLLM::EngineCore 0.50" in text
    assert "thermally throttled: GPU 0 lowered its clocks against heat in 50 % of the samples at up to 92 °C." in text


def test_json_tells_the_same(database: Path):
    shown = json.loads(show(database, "--json"))
    kinds = [told["kind"] for told in shown["explanations"][0]["explanations"]]
    assert kinds == ["thermally_throttled"]
    assert shown["load_points"][0]["machine"]["gpus"][0]["temperature_max_c"] == 92.0


def test_what_a_hot_card_measured_is_marked_where_it_is_listed(database: Path):
    assert "2 req/s · GPU throttled" in show(database)
    assert "measured · GPU throttled" in tuner(database, "trials")
    assert json.loads(show(database, "--json"))["load_points"][0]["thermally_throttled"] is True


def test_showing_a_trial_imports_nothing_heavy(database: Path):
    code = (
        "import sys\n"
        "from tuner.cli.main import main\n"
        f"sys.argv = ['tuner', 'show', '0', '--db', {str(database)!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'optuna', 'alembic', 'plotly', 'psutil', 'pynvml', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
