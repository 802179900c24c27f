"""Two studies on one machine, a poisoned compile cache and a taken port, through the command line."""

import signal
import socket
from pathlib import Path

from tests.fakes.workbench import Workbench, until
from tuner.domain.trial import Trial
from tuner.store.location import DatabaseLocation
from tuner.store.reader import open_reader


def trials(bench: Workbench) -> tuple[Trial, ...]:
    with open_reader(DatabaseLocation.parse(str(bench.database))) as reader:
        study = reader.study("night")
        assert study is not None
        return reader.trials(study.id)


def on(lock_dir: Path) -> dict[str, str]:
    return {"TUNER_LOCK_DIR": str(lock_dir)}


def test_two_studies_on_one_machine_measure_one_after_the_other(tmp_path: Path):
    first, second = (Workbench(tmp_path / name) for name in ("first", "second"))
    running = first.start("run", first.study(budget={"trials": 1}), env=on(tmp_path))
    running.wait_for("trial 0: warm-up")
    later = second.start("run", second.study(budget={"trials": 1}), env=on(tmp_path))
    said = later.wait_for("waiting for")

    assert f"the launch of study night (process {running.process.pid} of " in said
    assert (running.wait(), later.wait()) == (0, 0)
    (one,), (other,) = trials(first), trials(second)
    assert one.launches[0].ended_at is not None
    assert other.launches[0].started_at >= one.launches[0].ended_at
    assert (one.state, other.state) == ("measured", "measured")


def test_a_killed_tuners_turn_ends_with_its_engine(tmp_path: Path):
    first, second = (Workbench(tmp_path / name) for name in ("first", "second"))
    running = first.start("run", first.study(mode="ignores_sigterm"), env=on(tmp_path))
    running.wait_for("trial 0: warm-up")
    later = second.start("run", second.study(budget={"trials": 1}), env=on(tmp_path))
    later.wait_for("waiting for")
    engine = running.engine()
    running.signal(signal.SIGKILL)
    running.wait()
    later.wait_for("trial 0: start-up")

    assert until(lambda: not [pid for pid in engine if Path(f"/proc/{pid}/exe").exists()], seconds=1)
    assert later.wait() == 0


def test_a_poisoned_compile_cache_is_wiped_once_and_the_launch_tried_again(tmp_path: Path):
    bench = Workbench(tmp_path)
    cache = tmp_path / ".tuner" / "cache" / "night"
    cache.mkdir(parents=True)
    (cache / "poison").touch()
    done = bench.tuner("run", bench.study(budget={"trials": 1}))

    assert done.returncode == 0, done.stderr
    assert f"wiped the compile cache of the study, {cache}" in done.stderr
    (trial,) = trials(bench)
    assert [launch.failure and launch.failure.kind for launch in trial.launches] == ["compile_cache", None]


def test_a_users_own_cache_is_never_wiped(tmp_path: Path):
    bench = Workbench(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "poison").touch()
    engine = {"vllm_python": str(bench.vllm_python), "env": {"VLLM_CACHE_ROOT": str(tmp_path / "mine")}}
    done = bench.tuner("run", bench.study(engine=engine, budget={"trials": 1}))

    assert done.returncode == 4, done.stderr
    assert "Delete vLLM's compile cache" in done.stderr
    assert (tmp_path / "mine" / "poison").exists()


def test_a_taken_port_is_refused_with_its_holder(tmp_path: Path):
    bench = Workbench(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        engine = {"vllm_python": str(bench.vllm_python), "port": port}
        done = bench.tuner("run", bench.study(engine=engine))

    assert done.returncode == 3, done.stderr
    assert f"port {port} is in use by process " in done.stderr
    assert "pytest" in done.stderr


def test_a_disk_below_the_limit_stops_before_the_launch_and_resume_goes_on(tmp_path: Path):
    bench = Workbench(tmp_path)
    full = bench.tuner("run", bench.study(budget={"trials": 1}), env={"TUNER_MIN_FREE_MIB": "999999999"})
    done = bench.tuner("resume", "night")

    assert full.returncode == 3, full.stderr
    assert "free on the disk" in full.stderr
    assert done.returncode == 0, done.stderr
    assert [trial.state for trial in trials(bench)] == ["interrupted", "measured"]
