"""The model's files: fetched before the first start, identified, and asked for their vocabulary.

A hub name is fetched by the engine's own interpreter, with the library and the cache that its servers will use.
"""

import asyncio
import hashlib
import json
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from tuner.domain.errors import InputError, SurroundingsError

_FETCH = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1], ignore_patterns=["*.pth", "*.gguf", "original/*"]))
"""
_WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
_NESTED = ("text_config", "llm_config", "language_config")
"""Where the configuration of a multimodal model keeps that of its language model."""
_HASH_LENGTH = 16
_SHA1_LENGTH = 40


async def fetch_weights(python: Path, model: str, env: Mapping[str, str], *, on_line: Callable[[str], None]) -> None:
    """Have the model's files on this machine: a local directory is checked, a hub name is fetched into its cache.

    Args:
        python: the interpreter that has vLLM.
        model: a directory or a hub name.
        env: the environment of the engine; HF_HUB_OFFLINE and HF_HOME are honoured.
        on_line: is given what the download prints, line by line.

    Raises:
        InputError: no such model.
        SurroundingsError: the interpreter can't be run.
    """
    if is_local(model):
        return
    if _looks_like_a_path(model):
        raise InputError(
            f"model not found: {model} holds no config.json",
            where="model",
            advice="Name a directory with config.json and weights, or a model of the hub such as org/name.",
        )
    lines = await _run_fetch(python, model, env, on_line)
    if lines is not None:
        reason = next((line for line in reversed(lines) if line.strip()), "no reason given")
        raise InputError(
            f"model not found: {model}: {reason[:300]}",
            where="model",
            advice="Check the name; a gated model needs HF_TOKEN, and a machine without internet a local directory.",
        )


def is_local(model: str) -> bool:
    """Return whether the model is a directory of this machine."""
    return (Path(model) / "config.json").is_file()


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~", "-")) or model.endswith("/") or Path(model).exists()


async def _run_fetch(
    python: Path, model: str, env: Mapping[str, str], on_line: Callable[[str], None]
) -> list[str] | None:
    """Return what a failed download printed; None when it went well."""
    try:
        process = await asyncio.create_subprocess_exec(
            python, "-c", _FETCH, model, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=dict(env), limit=1 << 20
        )
    except OSError as error:
        raise SurroundingsError(f"{python} can't be run: {error.strerror}", advice="Check --vllm-python.") from error
    assert process.stdout is not None  # noqa: S101  # a pipe was asked for
    lines: list[str] = []
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip().rpartition("\r")[2]
            lines.append(line)
            on_line(line)
        return lines if await process.wait() else None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def model_identity(model: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return what tells this model from another: a hash of its configuration and weight files, or its hub revision."""
    if not is_local(model):
        snapshot = _snapshot(model, environ)
        return snapshot.name if snapshot is not None else None
    directory = Path(model)
    digest = hashlib.sha256((directory / "config.json").read_bytes())
    for path in sorted(directory.iterdir()):
        if path.suffix in _WEIGHTS:
            digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:_HASH_LENGTH]


def vocabulary_size(model: str, environ: Mapping[str, str] = os.environ) -> int | None:
    """Return how many token ids the model has, None where its configuration is not on this machine."""
    directory = Path(model) if is_local(model) else _snapshot(model, environ)
    if directory is None:
        return None
    try:
        config: Any = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return _vocabulary(_mapping(config))


def _vocabulary(config: dict[str, Any]) -> int | None:
    sizes = (part.get("vocab_size") for part in (config, *(_mapping(config.get(name)) for name in _NESTED)))
    return next((size for size in sizes if isinstance(size, int)), None)


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _snapshot(model: str, environ: Mapping[str, str]) -> Path | None:
    """Return the cached snapshot of a hub model's main revision."""
    folder = _hub_cache(environ) / f"models--{model.replace('/', '--')}"
    try:
        revision = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    snapshot = folder / "snapshots" / revision
    return snapshot if len(revision) == _SHA1_LENGTH and snapshot.is_dir() else None


def _hub_cache(environ: Mapping[str, str]) -> Path:
    """Return the hub's cache as huggingface_hub finds it."""
    explicit = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    cache = environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(environ.get("HF_HOME", f"{cache}/huggingface")).expanduser() / "hub"
