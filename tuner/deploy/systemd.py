"""A systemd service unit, and quoting as systemd reads it (systemd.service(5), systemd.syntax(7))."""

import re
from collections.abc import Iterator, Sequence

from tuner.deploy.bytes_escaped import escaped
from tuner.deploy.deployable import LOOPBACK, PORT, Deployable
from tuner.deploy.header import header
from tuner.domain.flags import to_arguments
from tuner.domain.inert import inert

_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_STOP_S = 60
_ENV = "/usr/bin/env"
_PROGRAM = re.compile(r"[^\x00-\x1f\x7f\"'\\]+")
"""Paths of programs that systemd accepts: without quotes, backslashes and control characters."""
_FALLBACK = (_ENV, "vllm", "serve")
"""Where the measured interpreter is unknown."""
_POLL_S = 2


def systemd(deployable: Deployable) -> str:
    """Return the unit."""
    name, study = deployable.name, inert(deployable.study).replace("%", "%%")
    title = f"A vLLM server, listening on this machine only: save as /etc/systemd/system/{name}.service, then start it"
    lines = [
        *header(deployable, title, list(_notes(deployable))),
        "[Unit]",
        f"Description=vLLM, study {study}, trial {deployable.trial}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=exec",
        *_environment(deployable),
        f"EnvironmentFile=-/etc/{name}.env",
        f"ExecStart={exec_line(_words(deployable))}",
        f"ExecStartPost={exec_line(_ready(deployable))}",
        f"TimeoutStartSec={deployable.first_start_within}",
        f"TimeoutStopSec={_STOP_S}",
        "KillMode=mixed",
        "Restart=always",
        "RestartSec=5",
        *_hardening(name),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def exec_line(words: Sequence[str]) -> str:
    """Return a command for ExecStart=: systemd runs exactly these words, and expands nothing in them."""
    program, *arguments = words if _PROGRAM.fullmatch(words[0]) else [_ENV, *words]
    return " ".join([_quoted(program), *(_quoted(word.replace("$", "$$")) for word in arguments)])


def _quoted(word: str) -> str:
    """Return a word in systemd's quotes, its specifiers escaped; variables are the caller's."""
    if _PLAIN.fullmatch(word):
        return word
    inside = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped(inside)}"'


def _words(deployable: Deployable) -> list[str]:
    head = list(deployable.python) or list(_FALLBACK)
    model, *flags = deployable.serve_arguments(LOOPBACK)
    return [*head, *([model] if head[-1] == "serve" else to_arguments({"model": model})), *flags]


def _ready(deployable: Deployable) -> list[str]:
    """Return a command that ends when the server answers: until then the unit is starting, not started."""
    limit = deployable.first_start_within
    return [
        "/usr/bin/curl", "--silent", "--fail", "--output", "/dev/null", "--retry-all-errors", "--retry",
        str(limit // _POLL_S), "--retry-delay", str(_POLL_S), "--retry-max-time", str(limit),
        f"http://{LOOPBACK}:{PORT}/health",
    ]  # fmt: skip


def _environment(deployable: Deployable) -> Iterator[str]:
    cache = {"HF_HOME": f"/var/cache/{deployable.name}/huggingface", "HOME": f"/var/cache/{deployable.name}"}
    variables = cache | deployable.environment | deployable.device_environment
    return (f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items())


def _hardening(name: str) -> list[str]:
    """Return what CUDA and a just-in-time compiler live with: devices and writable code stay allowed."""
    return [
        "DynamicUser=yes",
        f"CacheDirectory={name}",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        "PrivateTmp=yes",
        "ProtectControlGroups=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelLogs=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "LimitMEMLOCK=infinity",
        "LimitNOFILE=65536",
    ]


def _notes(deployable: Deployable) -> Iterator[str]:
    if deployable.needs_hub:
        yield f"a token for the hub stands in /etc/{deployable.name}.env (mode 600) as HF_TOKEN=…"
    what = "the interpreter and the model's directory" if deployable.is_directory else "the interpreter"
    yield f"{what} must be readable for every user, or name one with User= in place of DynamicUser=."
    if deployable.on_gpu:
        yield "/dev/nvidia-uvm must be there: nvidia-persistenced, or nvidia-modprobe -u at boot, sees to it."
