"""A Kubernetes Deployment and the Service in front of it."""

import math
from typing import Any

from tuner.deploy import container
from tuner.deploy.deployable import EVERYWHERE, PORT, Deployable
from tuner.deploy.header import header
from tuner.deploy.yaml_text import yaml_text

SECRET = "huggingface"  # noqa: S105  # the Secret's name
SECRET_KEY = "token"  # noqa: S105  # the key in it
_PERIOD_S = 10
_STOP_S = 60


def kubernetes(deployable: Deployable) -> str:
    """Return the manifest: two documents."""
    title = "A vLLM Deployment, reachable through its Service inside the cluster: kubectl apply --filename FILE"
    comment = header(deployable, title, [*container.notes(deployable), *_notes(deployable)], single=False)
    return yaml_text(comment, _deployment(deployable), _service(deployable))


def _notes(deployable: Deployable) -> list[str]:
    notes: list[str] = []
    if deployable.is_directory:
        notes.append("the hostPath volume needs the directory on every node: elsewhere, use a volume of yours.")
    if deployable.needs_hub:
        create = f"kubectl create secret generic {SECRET} --from-file={SECRET_KEY}=FILE"
        notes.append(f"a token for the hub is taken from the Secret {SECRET}, where there is one: {create}")
        notes.append("each new pod downloads the model into an emptyDir: a PersistentVolumeClaim there starts faster.")
    return notes


def _labels(deployable: Deployable) -> dict[str, str]:
    return {"app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": deployable.name}


def _service(deployable: Deployable) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": deployable.name, "labels": _labels(deployable)},
        "spec": {
            "type": "ClusterIP",
            "selector": _labels(deployable),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
        },
    }


def _deployment(deployable: Deployable) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployable.name, "labels": _labels(deployable)},
        "spec": {
            "replicas": deployable.replicas or 1,
            "selector": {"matchLabels": _labels(deployable)},
            # A GPU to spare for a rolling update is rare: with a surge, the new pod would wait for ever.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "progressDeadlineSeconds": _attempts(deployable) * _PERIOD_S + _STOP_S,
            "template": {"metadata": {"labels": _labels(deployable)}, "spec": _pod(deployable)},
        },
    }


def _pod(deployable: Deployable) -> dict[str, Any]:
    return {
        # Variables such as VLLM_PORT, which Kubernetes would set for a Service named vllm, mean something to vLLM.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _STOP_S,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(deployable)],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{container.SHM_GB}Gi"}},
            *([_directory(deployable)] if deployable.is_directory else []),
            *([{"name": "cache", "emptyDir": {}}] if deployable.needs_hub else []),
        ],
    }


def _directory(deployable: Deployable) -> dict[str, Any]:
    return {"name": "model", "hostPath": {"path": deployable.model, "type": "Directory"}}


def _container(deployable: Deployable) -> dict[str, Any]:
    gpus = {"resources": {"limits": {"nvidia.com/gpu": deployable.gpu_count}}} if deployable.on_gpu else {}
    environment = _environment(deployable)
    return {
        "name": "vllm",
        "image": container.image(deployable).name,
        "command": ["vllm", "serve"],
        "args": [_literal(word) for word in container.arguments(deployable, EVERYWHERE)],
        **({"env": environment} if environment else {}),
        "ports": [{"name": "http", "containerPort": PORT}],
        **gpus,
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": _mounts(deployable),
        **_probes(deployable),
    }


def _literal(text: str) -> str:
    """Return text that Kubernetes expands nothing in: in arguments and variables `$(NAME)` is one."""
    return text.replace("$", "$$")


def _environment(deployable: Deployable) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "value": _literal(value)} for name, value in container.environment(deployable).items()
    ]
    if deployable.needs_hub:
        reference = {"name": SECRET, "key": SECRET_KEY, "optional": True}
        found.append({"name": container.HF_TOKEN, "valueFrom": {"secretKeyRef": reference}})
    return found


def _mounts(deployable: Deployable) -> list[dict[str, Any]]:
    model = [{"name": "model", "mountPath": container.MODEL, "readOnly": True}] if deployable.is_directory else []
    cache = [{"name": "cache", "mountPath": container.CACHE}] if deployable.needs_hub else []
    return [{"name": "shm", "mountPath": "/dev/shm"}, *model, *cache]  # noqa: S108  # the kernel's own place


def _attempts(deployable: Deployable) -> int:
    """Return how often a start is looked at before it has failed."""
    return math.ceil(deployable.first_start_within / _PERIOD_S)


def _probes(deployable: Deployable) -> dict[str, Any]:
    """Return the probes: until the first is passed, the others rest; a busy server gets a minute to answer."""
    look = {"httpGet": {"path": "/health", "port": "http"}}
    return {
        "startupProbe": {
            **look, "periodSeconds": _PERIOD_S, "timeoutSeconds": 5, "failureThreshold": _attempts(deployable),
        },
        "readinessProbe": {**look, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**look, "periodSeconds": _PERIOD_S, "timeoutSeconds": 10, "failureThreshold": 6},
    }  # fmt: skip
