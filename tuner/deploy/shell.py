"""The two forms for a shell: `vllm serve` and `docker run`. One argument a line, each quoted for a POSIX shell."""

import csv
import io
import shlex
from collections.abc import Sequence

from tuner.deploy import container
from tuner.deploy.bytes_escaped import escaped
from tuner.deploy.deployable import EVERYWHERE, LOOPBACK, PORT, Deployable
from tuner.deploy.header import header

_HEALTH = f"python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:{PORT}/health\", timeout=5)'"
_CACHE_OF_USER = "${HF_HOME:-$HOME/.cache/huggingface}"


def command(deployable: Deployable) -> str:
    """Return a `vllm serve` command line."""
    model, *flags = deployable.serve_arguments(LOOPBACK)
    variables = deployable.environment | deployable.device_environment
    assignments = [quoted(f"{name}={value}") for name, value in variables.items()]
    words = [*_joined(["env", *assignments] if assignments else []), f"vllm serve {quoted(model)}"]
    return _text(header(deployable, "A vLLM server, listening on this machine only: run it in a shell."), words, flags)


def docker(deployable: Deployable) -> str:
    """Return a `docker run` command line."""
    notes = list(container.notes(deployable))
    lines = [
        "docker run --detach",
        f"--name {deployable.name} --restart unless-stopped",
        *_joined(_devices(deployable)),
        f"--shm-size {container.SHM_GB}g",
        f"--publish {LOOPBACK}:{PORT}:{PORT}",
        *_mounts(deployable),
        *(f"--env {quoted(f'{name}={value}')}" for name, value in container.environment(deployable).items()),
        f"--health-cmd {quoted(_HEALTH)}",
        f"--health-interval 10s --health-timeout 10s --health-start-period {deployable.first_start_within}s",
        f"--entrypoint vllm {quoted(container.image(deployable).name)}",
    ]
    model, *flags = container.arguments(deployable, EVERYWHERE)
    title = f"A vLLM server in a container, reachable at {LOOPBACK}:{PORT} only: run it in a shell."
    return _text(header(deployable, title, notes), [*lines, f"serve {quoted(model)}"], flags)


def quoted(word: str) -> str:
    """Return a word as a shell reads it back; what can't be seen takes the quotes of bash, zsh and POSIX of 2024."""
    if word.isprintable():
        return shlex.quote(word)
    inside = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{escaped(inside)}'"


def _text(comment: Sequence[str], words: Sequence[str], arguments: Sequence[str]) -> str:
    return "\n".join([*comment, " \\\n  ".join([*words, *map(quoted, arguments)])]) + "\n"


def _joined(words: Sequence[str]) -> list[str]:
    return [" ".join(words)] if words else []


def _devices(deployable: Deployable) -> list[str]:
    if not deployable.on_gpu:
        return []
    chosen = deployable.chosen_gpus
    wanted = str(deployable.gpu_count) if chosen is None else f'"device={",".join(map(str, chosen))}"'
    return ["--gpus", quoted(wanted)]


def _mounts(deployable: Deployable) -> list[str]:
    mounts: list[str] = []
    if deployable.is_directory:
        fields = ["type=bind", f"source={deployable.model}", f"target={container.MODEL}", "readonly"]
        mounts.append(f"--mount {quoted(_csv(fields))}")
    if deployable.needs_hub:
        mounts += [f'--volume "{_CACHE_OF_USER}:{container.CACHE}"', f"--env {container.HF_TOKEN}"]
    return mounts


def _csv(fields: Sequence[str]) -> str:
    """Return the fields as `--mount` reads them: a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
