"""vLLM's command-line flags as data: names without dashes, typed values, and the way from and to argv.

Owns the spelling of flags. Which flags a vLLM version really has is the engine's to say (`tuner.server.engine`).
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

FlagValue = bool | int | float | str
"""A flag's value. `True` and `False` become `--flag` and `--no-flag`."""

Flags = Mapping[str, FlagValue]
"""Flag name (`max-num-seqs`) to value."""

FLAG_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*(\.[a-z][a-z0-9_]*)*")
"""A canonical name: lower case, hyphens; dots reach into a JSON flag (`compilation-config.cudagraph_mode`)."""

OWNED_BY_LAUNCHER = frozenset(
    {"host", "port", "uds", "api-key", "served-model-name", "model", "model-tag", "root-path", "config", "headless"}
)
"""Flags that the launcher sets itself: a study can neither fix nor tune them."""

CODE_OR_NETWORK = frozenset(
    {
        "trust-remote-code", "middleware", "tool-parser-plugin", "reasoning-parser-plugin", "logits-processors",
        "worker-cls", "worker-extension-cls", "scheduler-cls", "allowed-local-media-path", "allowed-media-domains",
        "allowed-origins", "allowed-methods", "allowed-headers", "allow-credentials", "ssl-keyfile", "ssl-certfile",
        "ssl-ca-certs", "ssl-cert-reqs", "ssl-ciphers", "enable-ssl-refresh", "hf-token", "hf-config-path",
        "hf-overrides", "download-dir", "chat-template", "tool-server", "lora-modules", "enable-lora",
        "data-parallel-address", "data-parallel-rpc-port", "data-parallel-hybrid-lb", "data-parallel-external-lb",
        "master-addr", "master-port", "node-rank", "nnodes", "kv-transfer-config", "ec-transfer-config",
        "kv-events-config", "otlp-traces-endpoint", "grpc", "grpc-port", "io-processor-plugin", "load-format",
        "model-loader-extra-config", "tokenizer", "revision", "code-revision", "tokenizer-revision",
        "request-id-headers", "enable-tokenizer-info-endpoint", "enable-scale-out", "additional-config",
    }
)  # fmt: skip
"""Flags that load code, reach the network or change what is served: fixed flags perhaps, never in a search space."""


def canonical_name(name: str) -> str:
    """Return the flag's canonical name for any spelling vLLM accepts (`--max_num_seqs`, `max-num-seqs`).

    Raises:
        ValueError: the text is no flag name.
    """
    head, dot, tail = name.removeprefix("--").partition(".")
    canonical = head.replace("_", "-") + dot + tail
    if not FLAG_NAME.fullmatch(canonical):
        raise ValueError(f"{name!r} is not a flag name: write it as vLLM does, such as max-num-seqs")
    return canonical


def tunable_name(name: str) -> str:
    """Return the canonical name of a flag that may stand in a search space.

    Raises:
        ValueError: no flag name, or a flag that the launcher owns or that loads code or reaches the network.
    """
    canonical = fixed_name(name)
    if canonical.partition(".")[0] in CODE_OR_NETWORK:
        raise ValueError(f"{canonical} loads code, reaches the network or changes what is served: it can't be tuned")
    return canonical


def fixed_name(name: str) -> str:
    """Return the canonical name of a flag that a study may fix.

    Raises:
        ValueError: no flag name, or a flag that the launcher sets itself.
    """
    canonical = canonical_name(name)
    if canonical in OWNED_BY_LAUNCHER:
        raise ValueError(f"{canonical} is set by the launcher: leave it out")
    return canonical


def to_arguments(flags: Flags) -> list[str]:
    """Return the argv of the flags, sorted by name, one argument each, so that no value can become a flag."""
    return [_argument(name, flags[name]) for name in sorted(flags)]


def _argument(name: str, value: FlagValue) -> str:
    if isinstance(value, bool):
        if "." in name:
            return f"--{name}={json.dumps(value)}"
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={format_value(value)}"


def format_value(value: FlagValue) -> str:
    """Return a flag's value as text: numbers in their shortest exact form."""
    return repr(value) if isinstance(value, float) else str(value)


def from_arguments(arguments: Sequence[str]) -> dict[str, FlagValue]:
    """Return the flags of an argv such as `['--max-num-seqs', '64', '--enforce-eager']`.

    Raises:
        ValueError: an argument that belongs to no flag.
    """
    flags: dict[str, FlagValue] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name, value = _split_argument(argument)
            flags[name] = value
            name = "" if "=" in argument or argument.startswith("--no-") else name
        elif name:
            flags[name], name = parse_value(argument), ""
        else:
            raise ValueError(f"{argument!r} belongs to no flag")
    return flags


def _split_argument(argument: str) -> tuple[str, FlagValue]:
    name, equals, value = argument.partition("=")
    if equals:
        return canonical_name(name), parse_value(value)
    if name.startswith("--no-"):
        return canonical_name(name.removeprefix("--no-")), False
    return canonical_name(name), True


def parse_value(text: str) -> FlagValue:
    """Return the typed value of a flag's text: `64`, `0.9`, `true`, otherwise the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float)) else text


def parse_command_line(text: str) -> dict[str, FlagValue]:
    """Return the flags of a shell-like line (`--max-num-seqs 64`), a leading `vllm serve MODEL` ignored.

    Raises:
        ValueError: quotes that don't close, or an argument that belongs to no flag.
    """
    words = shlex.split(text)
    start = next((index for index, word in enumerate(words) if word.startswith("--")), len(words))
    if start and words[:2] != ["vllm", "serve"]:
        raise ValueError(f"{words[0]!r} belongs to no flag")
    return from_arguments(words[start:])


def shell_line(words: Iterable[str]) -> str:
    """Return one line that a POSIX shell reads back as these words."""
    return shlex.join(words)


def serve_command(model: str, flags: Flags) -> str:
    """Return the `vllm serve` line of a configuration, ready to copy."""
    return shell_line(["vllm", "serve", model, *to_arguments(flags)])


def _flags(value: Any) -> Any:  # noqa: ANN401  # pydantic hands over whatever the file held
    if isinstance(value, str):
        return parse_command_line(value)
    return value


def _fixed_flags(flags: dict[str, FlagValue]) -> dict[str, FlagValue]:
    named = {fixed_name(name): value for name, value in flags.items()}
    if len(named) != len(flags):
        raise ValueError("the same flag stands twice, in two spellings")
    return named


FixedFlags = Annotated[dict[str, FlagValue], AfterValidator(_fixed_flags), BeforeValidator(_flags)]
"""Flags that a study fixes: a mapping, or one line of text as on a command line."""
