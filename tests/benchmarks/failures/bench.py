"""Forty bad configurations against a real vLLM: what each is called, by which line, and what to do about it.

Every one is asked of the probe first, as a study does (milliseconds), then launched all the same, so that the log of
the failure is judged too. The logs stay where `--logs` says.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.failures.configs import CONFIGS, BadConfig, make_models
from tuner.domain.errors import LaunchError, SurroundingsError
from tuner.domain.failure import Failure, FailureKind
from tuner.server.command import engine_environment
from tuner.server.diagnosis import infeasible
from tuner.server.engine import EngineProbe
from tuner.server.launch import LaunchHandle, LaunchRequest

ROOT = Path(__file__).parents[3]
ENV = {"HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the tuner makes of one configuration."""

    config: BadConfig
    refusal: Failure | None
    """What the probe's refusal becomes, before a launch; None where vLLM's configuration accepts it."""
    failure: Failure | None
    """What the launch becomes; None when it started."""
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the kind is right, with one line of reason and a suggestion."""
        failure = self.failure
        return (
            failure is not None
            and failure.kind in self.config.kinds
            and len(failure.evidence.splitlines()) == 1
            and bool(failure.advice)
            and (self.refusal is None or bool(self.refusal.advice))
        )


def main() -> int:
    """Print the table and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=[], help="parts of configurations' names; none means all")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-vllm" / "bin" / "python", help="one with vLLM")
    parser.add_argument("--logs", type=Path, default=ROOT / ".cache" / "bad-configs", help="where the logs stay")
    given = parser.parse_args()
    chosen = [config for config in CONFIGS if _wanted(config.name, given.names)]
    models = given.logs / "models"
    subprocess.run([sys.executable, ROOT / "scripts" / "make-tiny-model", models / "tiny"], check=True)
    make_models(models, models / "tiny")
    return asyncio.run(judge(chosen, given.python.absolute(), given.logs, models))


def _wanted(name: str, parts: Sequence[str]) -> bool:
    return not parts or any(part.lower() in name.lower() for part in parts)


async def judge(chosen: Sequence[BadConfig], python: Path, logs: Path, models: Path) -> int:
    """Launch each, print a line each, and return how many were judged wrongly."""
    print("| configuration | kind | evidence | advice | before a launch | seconds |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    async with EngineProbe(python, engine_environment(os.environ, ENV)) as probe:
        done: list[Judged] = []
        for config in chosen:
            done.append(await judged(config, probe, python, logs, models))
            print(line(done[-1]), flush=True)
    print()
    print(summary(done))
    return sum(not one.is_right for one in done)


async def judged(config: BadConfig, probe: EngineProbe, python: Path, logs: Path, models: Path) -> Judged:
    """Ask, then launch one configuration."""
    model = config.model if "/" in config.model else str(models / config.model)
    resolution = await probe.resolve(model, config.all_flags(), [])
    began = time.monotonic()
    log = logs / f"{config.name.replace(' ', '-')}.log"
    log.unlink(missing_ok=True)
    failure = await launched(config, probe, model, python, log)
    return Judged(config, infeasible(resolution.error) if resolution.error else None, failure, time.monotonic() - began)


async def launched(config: BadConfig, probe: EngineProbe, model: str, python: Path, log: Path) -> Failure | None:
    """Return the failure of a launch, None when it became ready."""
    request = LaunchRequest(
        python=python,
        entrypoint=probe.info.entrypoint,
        model=model,
        flags=config.all_flags(),
        env={**ENV, **config.env},
        gpus=None,
        port=None,
        start_timeout=config.start_timeout,
        log_path=log,
    )
    handle = LaunchHandle(request)
    with listening(handle) if config.port_is_taken else nothing():
        try:
            async with handle:
                await handle.start()
        except LaunchError as error:
            return error.failure
        except SurroundingsError as error:
            return Failure(kind=FailureKind.PORT_IN_USE, evidence=error.what, advice=error.advice)
    return None


@contextmanager
def listening(handle: LaunchHandle) -> Generator[None]:
    """Listen on the port that the launch was given."""
    port = int(next(word for word in handle.argv if word.startswith("--port=")).partition("=")[2])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


@contextmanager
def nothing() -> Generator[None]:
    """Do nothing meanwhile."""
    yield


def line(one: Judged) -> str:
    """Return a row of the table."""
    failure = one.failure or Failure(kind=FailureKind.UNKNOWN, evidence="it started")
    mark = "" if one.is_right else " **wrong**"
    before = "refused" if one.refusal else "accepted"
    cells = (one.config.name, f"`{failure.kind}`{mark}", failure.evidence, failure.advice, before, f"{one.seconds:.0f}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def summary(done: Sequence[Judged]) -> str:
    """Return the counts."""
    unknown = sum(one.failure is not None and one.failure.kind is FailureKind.UNKNOWN for one in done)
    right = sum(one.is_right for one in done)
    return f"{right} of {len(done)} right: kind, one line of reason, a suggestion; {unknown} unknown"


if __name__ == "__main__":
    sys.exit(main())
