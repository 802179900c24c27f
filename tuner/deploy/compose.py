"""A Compose file: one service with its GPUs, health check and restart."""

from typing import Any

from tuner.deploy import container
from tuner.deploy.deployable import EVERYWHERE, LOOPBACK, PORT, Deployable
from tuner.deploy.header import header
from tuner.deploy.yaml_text import yaml_text

_HEALTH = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/health', timeout=5)"
_STOP_S = 60


def compose(deployable: Deployable) -> str:
    """Return the file."""
    title = (
        f"A vLLM server in a container, reachable at {LOOPBACK}:{PORT} only: "
        "save as compose.yaml, then docker compose up --detach --wait"
    )
    document = {"name": deployable.name, "services": {"vllm": _service(deployable)}}
    return yaml_text(header(deployable, title, list(container.notes(deployable))), document)


def _service(deployable: Deployable) -> dict[str, Any]:
    return {
        "image": _literal(container.image(deployable).name),
        "entrypoint": ["vllm", "serve"],
        "command": [_literal(word) for word in container.arguments(deployable, EVERYWHERE)],
        "ports": [f"{LOOPBACK}:{PORT}:{PORT}"],
        **_optional("environment", _environment(deployable)),
        **_optional("volumes", _volumes(deployable)),
        "shm_size": f"{container.SHM_GB}gb",
        **_optional("deploy", _deploy(deployable)),
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _HEALTH],
            "interval": "10s",
            "timeout": "10s",
            "retries": 6,
            "start_period": f"{deployable.first_start_within}s",
        },
        "restart": "unless-stopped",
        "stop_grace_period": f"{_STOP_S}s",
    }


def _literal(text: str) -> str:
    """Return text that Compose interpolates nothing into."""
    return text.replace("$", "$$")


def _optional(key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever YAML has
    return {key: value} if value else {}


def _environment(deployable: Deployable) -> dict[str, str | None]:
    """Return the variables; one without a value is passed on from the shell."""
    token: dict[str, str | None] = {container.HF_TOKEN: None} if deployable.needs_hub else {}
    return token | {name: _literal(value) for name, value in container.environment(deployable).items()}


def _volumes(deployable: Deployable) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = []
    if deployable.is_directory:
        source = _literal(deployable.model)
        volumes.append({"type": "bind", "source": source, "target": container.MODEL, "read_only": True})
    if deployable.needs_hub:
        source = "${HF_HOME:-${HOME}/.cache/huggingface}"
        volumes.append(
            {"type": "bind", "source": source, "target": container.CACHE, "bind": {"create_host_path": True}}
        )
    return volumes


def _deploy(deployable: Deployable) -> dict[str, Any]:
    if not deployable.on_gpu:
        return {}
    chosen = deployable.chosen_gpus
    which: dict[str, Any] = (
        {"count": deployable.gpu_count} if chosen is None else {"device_ids": [str(index) for index in chosen]}
    )
    return {"resources": {"reservations": {"devices": [{"driver": "nvidia", **which, "capabilities": ["gpu"]}]}}}
