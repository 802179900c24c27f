"""The plan against vLLM itself: small random models of many architectures on the real CPU server.

For each, the KV tokens that the plan expects stand beside those that the server logs, and the bytes of weights beside
those of vLLM's own model class (its log has two decimals, too few for models of this size). A server is stopped as
soon as it has said how large its cache is. Run by `scripts/plan-accuracy`.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.plan.architectures import ARCHITECTURES, LENGTH, ROOT, write
from tuner.domain.device import Device
from tuner.domain.model import ModelShape
from tuner.domain.plan import Deployment
from tuner.models import read_model
from tuner.plan.defaults import resolve
from tuner.plan.kv import kv_tokens
from tuner.plan.weights import stage_weight_bytes

CACHE_BYTES = 1 << 29
PATIENCE_S = 240.0
_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
_MODEL = "tiny"
_CPU = Device(
    name="cpu", title="this CPU", vendor="cpu", memory_bytes=16 << 30, bandwidth=1e10, sources=("not measured",)
)


@dataclass(frozen=True, slots=True)
class Row:
    """One architecture's figures; None where vLLM gave none."""

    name: str
    planned_tokens: int
    logged_tokens: int | None
    planned_bytes: int
    true_bytes: int | None
    remark: str = ""


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=[], help="parts of architectures' names; none means all")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-vllm" / "bin" / "python", help="one with vLLM")
    arguments = parser.parse_args()
    chosen = [name for name in ARCHITECTURES if _wanted(name, arguments.names)]
    print("| architecture | KV tokens, plan | KV tokens, vLLM | error | weights, plan | weights, vLLM | error |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(chosen):
            print(line(measure(name, Path(scratch) / f"model-{number}", arguments.python)), flush=True)


def _wanted(name: str, parts: list[str]) -> bool:
    return not parts or any(part.lower() in name.lower() for part in parts)


def measure(name: str, directory: Path, python: Path) -> Row:
    """Return one architecture's figures."""
    write(name, directory)
    model = read_model(str(directory), environ={})
    deployment = Deployment(max_model_len=LENGTH, kv_cache_memory_bytes=CACHE_BYTES)
    tokens, remark = logged_tokens(directory, python)
    return Row(
        name=name,
        planned_tokens=kv_tokens(model, _CPU, deployment, CACHE_BYTES),
        logged_tokens=tokens,
        planned_bytes=_planned_bytes(model, deployment),
        true_bytes=_true_bytes(directory, python),
        remark=remark,
    )


def _planned_bytes(model: ModelShape, deployment: Deployment) -> int:
    return stage_weight_bytes(model, resolve(model, _CPU, deployment))[0]


def _true_bytes(directory: Path, python: Path) -> int | None:
    """Parameters and the tables beside them, as vLLM's model class allocates them."""
    script = Path(__file__).with_name("weigh.py")
    done = subprocess.run([python, script, directory], capture_output=True, text=True, env=_environment(), check=False)
    if done.returncode or not done.stdout.strip():
        return None
    weighed = json.loads(done.stdout.strip().splitlines()[-1])[str(directory)]
    return weighed["bytes"] + weighed["buffers"]


def logged_tokens(directory: Path, python: Path) -> tuple[int | None, str]:
    """Return the tokens that a server logs for the cache, or None and its last words."""
    log = directory / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            _command(directory, python),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            return _await_tokens(server, log)
        finally:
            _stop(server)


def _command(directory: Path, python: Path) -> list[str]:
    flags = {
        "--model": str(directory),
        "--load-format": "dummy",
        "--max-model-len": str(LENGTH),
        "--kv-cache-memory-bytes": str(CACHE_BYTES),
        "--host": "127.0.0.1",
        "--port": "0",
        "--served-model-name": _MODEL,
    }
    pairs = [part for pair in flags.items() for part in pair]
    return [str(python), "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager", *pairs]


def _await_tokens(server: subprocess.Popen[bytes], log: Path) -> tuple[int | None, str]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8", errors="replace")
        found = _TOKENS.search(text)
        if found is not None:
            return int(found[1].replace(",", "")), ""
        if server.poll() is not None:
            break
        time.sleep(0.2)
    return None, _last_words(log.read_text(encoding="utf-8", errors="replace"))


def _last_words(text: str) -> str:
    errors = [line for line in text.splitlines() if "Error" in line]
    return (errors or text.splitlines() or ["no output"])[-1][-160:]


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and its engine; the session is its own."""
    if server.poll() is None:
        server.terminate()  # the API server alone: it ends its engine, and the tracker then frees shared memory
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _environment() -> dict[str, str]:
    return os.environ | {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}


def line(row: Row) -> str:
    """Return a row of the table."""
    kv = _beside(row.planned_tokens, row.logged_tokens, "{:,}".format)
    weights = _beside(row.planned_bytes, row.true_bytes, lambda size: f"{size / (1 << 20):,.1f} MiB")
    return f"| {row.name} | {kv} | {weights} |" + (f" {row.remark}" if row.remark else "")


def _beside(planned: int, true: int | None, text: Callable[[int], str]) -> str:
    if true is None:
        return f"{text(planned)} | – | –"
    return f"{text(planned)} | {text(true)} | {(planned / true - 1):+.2%}"


if __name__ == "__main__":
    main()
