"""A directory with a study as short as studies go, and the tuner run in it, killed wherever a test wants.

The tuner runs inside tests/fakes/crashing_tuner.py, which keeps the ledger of what was committed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fakes.workbench import FAKE_VLLM, ROOT, RunningTuner, Workbench
from tests.torture import aftermath
from tuner.space.yaml_file import read_yaml

NAME = "night"
QUICKSTART = ROOT / "scripts" / "quickstart.yaml"
CRASHING_TUNER = ROOT / "tests" / "fakes" / "crashing_tuner.py"
QUICK_LOAD: dict[str, Any] = {
    "highest": 1,
    "lowest": 1,
    "max_points": 1,
    "duration": "200ms",
    "min_requests": 20,
    "warmup_requests": 3,
    "drain": "2s",
}
REAL_FLAGS: dict[str, Any] = {"load-format": "dummy", "enforce-eager": True}
PATIENCE_S = 240.0


class Bed:
    """One study in one directory. The engine is the fake, unless another interpreter is named."""

    def __init__(self, directory: Path, *, vllm_python: Path = FAKE_VLLM) -> None:
        """Make the directory and its model."""
        directory.mkdir(parents=True, exist_ok=True)
        self.bench = Workbench(directory, vllm_python=vllm_python)
        self.directory = directory
        self.is_fake = vllm_python == FAKE_VLLM

    @property
    def ledger(self) -> Path:
        """What the tuner committed, told by itself."""
        return self.directory / "ledger"

    @property
    def database(self) -> Path:
        """The result file."""
        return self.bench.database

    @property
    def launched(self) -> Path:
        """The arguments of every launch of the fake engine, as lines of JSON."""
        return self.directory / "launched"

    def study(self, *, mode: str = "healthy", trials: int = 2, **changes: Any) -> Path:
        """Write the study; every change replaces a whole section of it."""
        env = {"FAKE_VLLM_MODE": mode, "FAKE_VLLM_ARGV": str(self.launched)} if self.is_fake else _OFFLINE
        engine = {"vllm_python": str(self.bench.vllm_python), "start_timeout": "20s" if self.is_fake else "300s"}
        engine |= {"env": env, "flags": {} if self.is_fake else REAL_FLAGS} | changes.pop("engine", {})
        sections: dict[str, Any] = {
            "engine": engine,
            "target_rps": 100 if self.is_fake else 5,
            "load": QUICK_LOAD,
            "slos": {"ttft_p50": "5s"},
            "objectives": ["capacity_rps"],
            "budget": {"trials": trials},
        }
        if not self.is_fake:
            sections["search_space"] = "quickstart"
        return self.bench.study(name=NAME, **sections | changes)

    def quickstart(self, *, trials: int) -> Path:
        """Write the study of scripts/quickstart, on this bed's model and interpreter, with a budget of its own."""
        data = dict(read_yaml(QUICKSTART))
        engine = data["engine"] | {"vllm_python": str(self.bench.vllm_python), "env": _OFFLINE}
        data |= {"study": NAME, "model": "tiny", "engine": engine, "budget": {"trials": trials}}
        return self.bench.study(name=NAME, **data)

    def start(
        self, *arguments: str | Path, fatal_step: int = 0, prefix: Sequence[str] = (), env: Mapping[str, str] = {}
    ) -> RunningTuner:
        """Start a command and return while it runs; with `fatal_step` it kills itself there."""
        command = [
            *prefix,
            sys.executable,
            str(CRASHING_TUNER),
            str(self.ledger),
            str(fatal_step),
            *map(str, arguments),
        ]
        process = subprocess.Popen(
            command, cwd=self.directory, env=self.environment() | dict(env), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        return RunningTuner(process, patience=PATIENCE_S)

    def run(self, *arguments: str | Path, **options: Any) -> tuple[int, str]:
        """Run a command to its end, and return its exit code and what it said."""
        running = self.start(*arguments, **options)
        code = running.wait()
        return code, "".join(running.lines)

    def kill_after(self, seconds: float, *arguments: str | Path) -> tuple[float, aftermath.Held]:
        """Start a command and kill it so many seconds later.

        Returns:
            The seconds that its processes outlived it, and what they held when it was killed.
        """
        running = self.start(*arguments)
        time.sleep(seconds)
        held = aftermath.held(self.directory)
        running.signal(signal.SIGKILL)
        running.wait()
        return self.cleanup_seconds(), held

    def environment(self) -> dict[str, str]:
        """Return the environment of a tuner under test: turns on the device are not shared with other beds."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNER_")}
        turns = self.directory / "turns"
        turns.mkdir(exist_ok=True)
        return kept | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT), "TUNER_LOCK_DIR": str(turns)}

    def cleanup_seconds(self) -> float:
        """Wait until nothing of the study runs any more, and return how long that took."""
        return aftermath.seconds_until_gone(self.directory)


_OFFLINE = {"HF_HUB_OFFLINE": "1"}
