"""A directory to run the `tuner` command in: a model, study files, real subprocesses, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
FAKE_VLLM = ROOT / "tests" / "fakes" / "vllm" / "python"
PATIENCE_S = 60.0


class Workbench:
    """Runs the tuner in a directory of its own, against the fake engine unless a study names another."""

    def __init__(self, directory: Path, *, vllm_python: Path = FAKE_VLLM) -> None:
        """Make the directory's model; `vllm_python` is what studies run on."""
        self.directory = directory
        self.vllm_python = vllm_python
        subprocess.run([sys.executable, ROOT / "scripts" / "make-tiny-model", directory / "tiny"], check=True)

    @property
    def database(self) -> Path:
        """The result file."""
        return self.directory / "results.db"

    def study(self, *, mode: str = "", name: str = "night", **changes: Any) -> Path:
        """Write a study file that takes a few seconds a trial on the fake engine.

        Args:
            mode: The fake engine's faults.
            name: The study's name, and the file's.
            changes: Sections of the file, replaced whole.
        """
        data: dict[str, Any] = {
            "study": name,
            "model": "tiny",
            "engine": {
                "vllm_python": str(self.vllm_python),
                "start_timeout": "20s",
                "env": {"FAKE_VLLM_MODE": mode} if mode else {},
            },
            "target_rps": 20,
            "search_space": {
                "parameters": {
                    "max-num-seqs": {"type": "int", "low": 1, "high": 16, "log": True},
                    "max-num-batched-tokens": {"type": "int", "low": 64, "high": 512, "log": True},
                },
                "constraints": ["max-num-batched-tokens >= max-num-seqs"],
            },
            "workload": {"input_tokens": 32, "output_tokens": 8},
            "load": {
                "highest": 2,
                "lowest": 0.5,
                "max_points": 3,
                "duration": "1s",
                "min_requests": 20,
                "warmup_requests": 6,
                "drain": "2s",
            },
            "slos": {"ttft_p95": "500ms"},
            "budget": {"trials": 3},
            "repeats": {"drift_every": None, "confirm": 0},
        }
        path = self.directory / f"{name}.yaml"
        path.write_text(json.dumps(data | changes))  # JSON is YAML
        return path

    def tuner(self, *arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.run([sys.executable, "-m", "tuner", *map(str, arguments)], env=env)

    def run(self, command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run whatever in the directory, in the environment of its tuners."""
        return subprocess.run(
            command, cwd=self.directory, env=self._environment(env), capture_output=True, text=True, check=False
        )

    def json(self, *arguments: str | Path) -> Any:
        """Run a command with `--json` and return what it printed."""
        done = self.tuner(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str | Path, env: dict[str, str] | None = None) -> "RunningTuner":
        """Start a command and return while it runs."""
        command = [sys.executable, "-m", "tuner", *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=self.directory, env=self._environment(env), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        return RunningTuner(process)

    def _environment(self, extra: dict[str, str] | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNER_")}
        # Locks of its own: tests that run beside one another do not wait for each other's launches.
        own = {"NO_COLOR": "1", "TUNER_LOCK_DIR": str(self.directory)}
        return kept | own | (extra or {})


class RunningTuner:
    """A tuner at work: its lines as they come, signals, and the processes below it."""

    def __init__(self, process: subprocess.Popen[str], *, patience: float = PATIENCE_S) -> None:
        """Take a process whose stderr is a pipe, and the seconds that its end may take."""
        self.process = process
        self._patience = patience
        self.lines: list[str] = []

    def wait_for(self, text: str) -> str:
        """Return the first line that contains the text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}:\n{''.join(self.lines)}")

    def engine(self) -> set[int]:
        """Return every process that descends from the tuner: supervisor, servers, load workers."""
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the tuner alone."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit code, once it is there."""
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            self.lines += stderr.readlines()
        return self.process.wait(timeout=self._patience)


def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> bool:
    """Return whether the condition came true within so many seconds."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def alive(pids: set[int]) -> set[int]:
    """Return the processes that still run, zombies left out."""
    running: set[int] = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                running.add(pid)
        except psutil.NoSuchProcess:
            continue
    return running
