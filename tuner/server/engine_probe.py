"""Answers questions about a vLLM, inside that vLLM's own interpreter: a file of its own, run with `-I`, without tuner.

One JSON request a line on stdin, one JSON answer a line on stdout, until stdin closes:

    {"op": "info"}      version, entrypoint, flags, python_version, platform, resolves
    {"op": "resolve", "model": M, "arguments": ["--max-num-seqs=64"], "names": ["max-num-seqs"]}
                        {"values": {name: value or null}, "error": reason or null}

Importing vLLM takes seconds, a resolution milliseconds: that is why the process stays. The option names come from the
very parser that prints vLLM's `--help`. Nothing here touches a device: vLLM builds its configuration without one.
Must run on every Python that vLLM runs on, hence nothing newer than 3.10.
"""

import enum
import json
import os
import platform
import re
import sys
from importlib import import_module, metadata, util
from typing import Any

_REASON = re.compile(r"\n(?:(?P<field>\w+)\n)?[ ]+(?:Value error, )?(?P<reason>.+?)(?: \[type=.*)?(?:\n|$)")
_ALIASES = {
    "kv-cache-dtype": "cache_dtype",
    "attention-backend": "attention_config.backend",
    "scheduling-policy": "policy",
    "quantization": "model_config.quantization",
}
"""Flags whose field in the configuration has another name."""
_DEEPEST = 3


class Refused(Exception):  # noqa: N818  # no error of this program
    """vLLM's argument parser refused the arguments."""


class Probe:
    """One vLLM, imported when first asked about."""

    def __init__(self) -> None:
        """Import vLLM's parser and configuration, as far as this version has them."""
        self._flags = _server_flags()
        self._parser: Any = None
        try:
            self._engine_args: Any = _vllm("engine.arg_utils").AsyncEngineArgs
            self._parser = self._engine_args.add_cli_args(_parser_class()(prog="vllm"))
            self._parser.error = _refuse
        except (ImportError, AttributeError, TypeError) as error:
            sys.stderr.write(f"this vLLM can't be asked for its configuration: {error}\n")
        if self._parser is not None and not self._flags:
            self._flags = _options(self._parser)

    def info(self) -> "dict[str, Any]":
        """Return what this vLLM is."""
        return {
            "version": _vllm("version").__version__,
            "entrypoint": _entrypoint(),
            "flags": sorted(self._flags),
            "python_version": platform.python_version(),
            "platform": _platform(),
            "resolves": self._parser is not None,
        }

    def resolve(self, model: str, arguments: "list[str]", names: "list[str]") -> "dict[str, Any]":
        """Return the values that vLLM gives to the named settings, or why it refuses the arguments."""
        if self._parser is None:
            return {"values": {}, "error": None}
        before = dict(os.environ)
        try:
            parsed = self._parser.parse_args([f"--model={model}", *arguments])
            config = self._engine_args.from_cli_args(parsed).create_engine_config(**_usage_context())
        except Exception as error:  # noqa: BLE001  # whatever vLLM raises is its reason
            return {"values": {}, "error": _reason(error)}
        finally:
            os.environ.clear()  # building a configuration may set variables, which would colour the next one
            os.environ.update(before)
        return {"values": {name: _plain(_find(config, parsed, name)) for name in names}, "error": None}


def _refuse(message: str) -> None:
    raise Refused(message)


def _vllm(module: str) -> Any:  # noqa: ANN401  # vLLM is unknown where the tuner's types are checked
    """Import a module of vLLM, late: after the streams are set."""
    return import_module(f"vllm.{module}")


def _parser_class() -> Any:  # noqa: ANN401
    try:
        return _vllm("utils.argparse_utils").FlexibleArgumentParser
    except ImportError:
        return _vllm("utils").FlexibleArgumentParser


def _usage_context() -> "dict[str, Any]":
    """Return the argument that makes vLLM take an API server's defaults."""
    return {"usage_context": _vllm("usage.usage_lib").UsageContext.OPENAI_API_SERVER}


def _server_flags() -> "set[str]":
    """Return the options of the whole server, front end included; empty where its parser is not found."""
    for name in ("entrypoints.openai.cli_args", "entrypoints.launchers.cli_args"):
        try:
            return _options(_vllm(name).make_arg_parser(_parser_class()()))
        except (ImportError, AttributeError):
            continue
    return set()


def _options(parser: Any) -> "set[str]":  # noqa: ANN401
    """Return the parser's long options, with hyphens, a `--no-…` left to its positive."""
    strings = {string for action in parser._actions for string in action.option_strings}  # noqa: SLF001  # no public way
    names = {string[2:].replace("_", "-") for string in strings if string.startswith("--")}
    return {name for name in names if not (name.startswith("no-") and name[3:] in names)}


def _entrypoint() -> str:
    """Return `cli` where the package is called `vllm`: its command asks for that package's metadata."""
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return "api_server"
    return "cli" if util.find_spec("vllm.entrypoints.cli") else "api_server"


def _platform() -> str:
    try:
        return str(_vllm("platforms").current_platform.device_type or "unknown")
    except (ImportError, AttributeError):
        return "unknown"


def _reason(error: Exception) -> str:
    """Return one line that says why: pydantic's inner message, or the error's own."""
    text = str(error)
    match = _REASON.search(text) if "validation error" in text else None
    if match is None:
        line = next(iter(text.strip().splitlines()), "")
    else:
        line = f"{match['field']}: {match['reason']}" if match["field"] else match["reason"]
    return " ".join((line or type(error).__name__).split())[:500]


def _find(config: Any, parsed: Any, name: str) -> Any:  # noqa: ANN401
    """Return the setting's value in the resolved configuration, else as it was parsed, else None."""
    path = _ALIASES.get(name, name.replace("-", "_")).split(".")
    for part in _configs(config, _DEEPEST):
        found = _descend(part, path)
        if found is not None:
            return found
    return getattr(parsed, path[0], None) if len(path) == 1 else None


def _descend(value: Any, path: "list[str]") -> Any:  # noqa: ANN401
    for name in path:
        if value is None:
            return None
        value = getattr(value, name, None)
    return value


def _configs(config: Any, depth: int) -> "list[Any]":  # noqa: ANN401
    """Return a configuration, then the configurations in it, the nearest first."""
    found: list[Any] = [config]
    level: list[Any] = [config]
    for _ in range(depth - 1):
        level = [value for parent in level for value in _fields(parent).values() if _is_config(value)]
        found += level
    return found


def _fields(value: Any) -> "dict[str, Any]":  # noqa: ANN401
    fields: dict[str, Any] = value.__dict__
    return fields


def _is_config(value: Any) -> bool:  # noqa: ANN401
    return (
        type(value).__module__.startswith("vllm.") and hasattr(value, "__dict__") and not isinstance(value, enum.Enum)
    )


def _plain(value: Any) -> "bool | int | float | str | None":  # noqa: ANN401
    """Return a value that JSON and a flag can hold."""
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value, str) else value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__name__ == "dtype":
        return str(value).replace("torch.", "")
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return str(value)


def main() -> None:
    """Answer until stdin closes. Whatever else prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    probe: Probe | None = None
    for line in sys.stdin:
        request = json.loads(line)
        probe = probe or Probe()
        if request["op"] == "info":
            answer = probe.info()
        else:
            answer = probe.resolve(request["model"], request["arguments"], request["names"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
