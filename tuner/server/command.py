"""The command line and the environment of a launch. Pure: reads no environment, starts nothing.

The argument list goes to the kernel as it is, never through a shell. The environment is built from an allow-list, so
that what the user's shell happens to hold reaches the engine only where the engine needs it.
"""

import re
from collections.abc import Mapping, Sequence

from tuner.domain.flags import Flags, to_arguments

CLI = "cli"
"""Entry point of a package that calls itself `vllm`: what the `vllm serve` command runs."""
API_SERVER = "api_server"
"""Entry point of every package, CPU builds under another name included."""

_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|TZ|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(?:http|https|all|no)_proxy|(?:HTTP|HTTPS|ALL|NO)_PROXY"
    r"|(?:LC|CUDA|NVIDIA|VLLM|HF|HUGGING_FACE|TRANSFORMERS|TORCH|TORCHINDUCTOR|PYTORCH|TRITON|FLASHINFER|OMP|KMP|GOMP"
    r"|MKL|OPENBLAS|NCCL|GLOO|XDG|SSL_CERT|ROCM|ROCR|HIP|HSA|AMD|CUBLAS|CUDNN|SAFETENSORS)_\w+"
)
_REFUSED = frozenset({"VLLM_API_KEY", "VLLM_SERVER_DEV_MODE"})
_LOOPBACK = {
    "VLLM_HOST_IP": "127.0.0.1",  # what the parts of vLLM tell one another to connect to
    "VLLM_LOOPBACK_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",  # otherwise Gloo listens where the machine's own name leads to
    "NCCL_SOCKET_IFNAME": "lo",  # NCCL's bootstrap; what GPUs of one machine exchange takes no socket
}
"""Keeps the sockets between the processes of one launch inside the machine. The study's own `engine.env` wins."""


def server_argv(
    python: str, entrypoint: str, model: str, flags: Flags, *, host: str, port: int, served_name: str
) -> tuple[str, ...]:
    """Return the argv of a server; `entrypoint` is `CLI` or `API_SERVER`.

    The model of the `serve` command is positional: `--model` is deprecated there.
    """
    owned = to_arguments({"host": host, "port": port, "served-model-name": served_name})
    return (python, *_head(entrypoint, model), *owned, *to_arguments(flags))


def _head(entrypoint: str, model: str) -> tuple[str, ...]:
    if entrypoint == CLI:
        return ("-m", "vllm.entrypoints.cli.main", "serve", model)
    return ("-m", "vllm.entrypoints.openai.api_server", f"--model={model}")


def engine_environment(
    caller: Mapping[str, str], extra: Mapping[str, str], *, gpus: Sequence[int] | None = None
) -> dict[str, str]:
    """Return the environment of any process of the engine: the caller's allowed variables, then the study's own.

    `PYTHONSAFEPATH` keeps files of the current directory from standing in for the engine's modules.
    """
    env = {name: value for name, value in caller.items() if _ALLOWED.fullmatch(name) and name not in _REFUSED}
    env |= _LOOPBACK
    env |= extra
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONSAFEPATH": "1"}
    if gpus is not None:
        # The indices are the driver's own, as nvidia-smi and NVML count, on a machine with different cards too.
        env |= {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return env


def server_environment(
    caller: Mapping[str, str], extra: Mapping[str, str], *, api_key: str, gpus: Sequence[int] | None = None
) -> dict[str, str]:
    """Return the environment of a server: the engine's, and the key that its clients must send."""
    return engine_environment(caller, extra, gpus=gpus) | {"VLLM_API_KEY": api_key}
