"""The fake engine's flags: their defaults, and vLLM's own complaints about bad ones."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

FLAGS = {
    "host": "127.0.0.1",
    "port": 8000,
    "model": "",
    "served-model-name": "",
    "max-num-seqs": 8,
    "max-num-batched-tokens": 2048,
    "max-model-len": 2048,
    "gpu-memory-utilization": 0.9,
    "kv-cache-memory-bytes": None,
    "enforce-eager": False,
    "enable-prefix-caching": True,
    "enable-chunked-prefill": True,
    "load-format": "auto",
    "dtype": "bfloat16",
    "block-size": 16,
    "async-scheduling": None,
    "tensor-parallel-size": 1,
    "seed": 0,
    "disable-log-stats": False,
}
"""Canonical name to default."""
BYTES_PER_TOKEN = 1024


class RefusedError(Exception):
    """What the engine prints before it ends, and its exit code."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        """Carry both."""
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


def parse(arguments: Sequence[str]) -> dict[str, object]:
    """Return every flag's value.

    Raises:
        RefusedError: a flag that isn't there, as argparse says it.
    """
    values: dict[str, object] = dict(FLAGS)
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        negated = name.startswith("no-") and not equals
        name = name.removeprefix("no-") if negated else name
        if not argument.startswith("--") or name not in FLAGS:
            raise RefusedError(f"api_server.py: error: unrecognized arguments: {argument}", exit_code=2)
        values[name] = _value(text) if equals else not negated
    return values


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def number(values: dict[str, object], name: str) -> float:
    """Return a numeric flag."""
    value = values[name]
    assert isinstance(value, (int, float)), name
    return value


def kv_tokens(values: dict[str, object]) -> int:
    """Return how many tokens the KV cache holds."""
    explicit = values["kv-cache-memory-bytes"]
    if explicit is not None:
        return int(number(values, "kv-cache-memory-bytes")) // BYTES_PER_TOKEN
    return int(number(values, "gpu-memory-utilization") * 1_000_000)


def check(values: dict[str, object]) -> None:
    """Refuse what vLLM's configuration refuses.

    Raises:
        RefusedError: with vLLM's text.
    """
    seqs, batched = int(number(values, "max-num-seqs")), int(number(values, "max-num-batched-tokens"))
    if batched < seqs:
        raise RefusedError(
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for SchedulerConfig\n"
            f"  Value error, max_num_batched_tokens ({batched}) must be greater than or equal to max_num_seqs ({seqs})."
            " [type=value_error, input_value=ArgsKwargs((), {'shutdown_timeout': 0}), input_type=ArgsKwargs]"
        )
    model = str(values["model"])
    if not (Path(model) / "config.json").is_file() and not os.environ.get("FAKE_VLLM_ANY_MODEL"):
        raise RefusedError(
            "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or "
            f"'namespace/repo_name': '{model}'. Use `repo_type` argument if needed."
        )


def check_memory(values: dict[str, object]) -> None:
    """Refuse what vLLM's memory profiling refuses.

    Raises:
        RefusedError: with vLLM's text.
    """
    if number(values, "gpu-memory-utilization") > 0.95:
        raise RefusedError("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …")
    longest, tokens = int(number(values, "max-model-len")), kv_tokens(values)
    if tokens < longest:
        raise RefusedError(
            f"ValueError: To serve at least one request with the model's max seq len ({longest}), (0.1 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (0.0 GiB). Based on the available memory, the "
            f"estimated maximum model length is {tokens}. Try increasing `gpu_memory_utilization`"
        )
