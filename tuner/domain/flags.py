"""vLLM's command-line flags as data: names without dashes, typed values, and the way from and to argv.

Owns the spelling of flags. Which flags a vLLM version really has is the engine's to say (`tuner.server.engine`).
"""

import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from tuner.domain.inert import inert
from tuner.domain.secrets import holds_password

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

SECRET = frozenset({"hf-token"})
"""Flags whose value is a secret: in no study, since it is stored, and no argument, since everyone can read those."""

CODE_OR_NETWORK = frozenset(
    {
        "trust-remote-code", "middleware", "tool-parser-plugin", "reasoning-parser-plugin", "logits-processors",
        "worker-cls", "worker-extension-cls", "scheduler-cls", "allowed-local-media-path", "allowed-media-domains",
        "allowed-origins", "allowed-methods", "allowed-headers", "allow-credentials", "ssl-keyfile", "ssl-certfile",
        "ssl-ca-certs", "ssl-cert-reqs", "ssl-ciphers", "enable-ssl-refresh", "hf-config-path",
        "hf-overrides", "download-dir", "chat-template", "trust-request-chat-template", "trust-request-mm-kwargs",
        "tool-server", "lora-modules", "enable-lora", "default-mm-loras", "model-class-overrides", "model-impl",
        "data-parallel-address", "data-parallel-rpc-port", "data-parallel-hybrid-lb", "data-parallel-external-lb",
        "data-parallel-multi-port-external-lb", "data-parallel-supervisor-port", "distributed-executor-backend",
        "master-addr", "master-port", "node-rank", "nnodes", "kv-transfer-config", "ec-transfer-config",
        "ec-manager-config", "kv-events-config", "weight-transfer-config", "otlp-traces-endpoint", "grpc", "grpc-port",
        "io-processor-plugin", "load-format", "model-loader-extra-config", "tokenizer", "revision", "code-revision",
        "tokenizer-revision", "generation-config", "enable-request-id-headers", "enable-tokenizer-info-endpoint",
        "enable-prompt-embeds", "enable-scale-out", "additional-config", "profiler-config", "logging-config",
        "log-config-file", "spec-model", "spec-method", "speculative-config.model", "speculative-config.method",
        "structured-outputs-config.reasoning_parser_plugin", "compilation-config.backend",
        "compilation-config.inductor_passes", "compilation-config.debug_dump_path", "compilation-config.cache_dir",
    }
)  # fmt: skip
"""Flags that load code, reach the network or change what is served: fixed flags perhaps, never in a search space."""

ONE_KEY_AT_A_TIME = frozenset({"compilation-config", "speculative-config", "structured-outputs-config"})
"""JSON flags of which some keys load code: a search space tunes their other keys, never the whole."""

TEXT_FLAGS = frozenset({"revision", "code-revision", "tokenizer-revision", "tokenizer", "download-dir"})
"""Flags whose value is text even where it looks like a number."""

SHORT_NAMES = {
    "-asc": "api-server-count", "-q": "quantization", "-pp": "pipeline-parallel-size", "-tp": "tensor-parallel-size",
    "-dcp": "decode-context-parallel-size", "-pcp": "prefill-context-parallel-size", "-dp": "data-parallel-size",
    "-ep": "enable-expert-parallel", "-sc": "speculative-config", "-cc": "compilation-config",
    "-ac": "attention-config", "-O": "optimization-level",
}  # fmt: skip
"""vLLM's short spellings, as people's command lines have them."""

_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")
_SHORT = re.compile(r"-[A-Za-z]")


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
    meant = _meant(canonical, CODE_OR_NETWORK)
    if meant is not None:
        raise ValueError(f"{meant} loads code, reaches the network or changes what is served: it can't be tuned")
    whole = _meant(canonical, ONE_KEY_AT_A_TIME) if "." not in canonical else None
    if whole is not None:
        raise ValueError(f"{whole} can't be tuned as a whole: name one of its keys, as in {whole}.key")
    return canonical


def fixed_name(name: str) -> str:
    """Return the canonical name of a flag that a study may fix.

    Raises:
        ValueError: no flag name, a negated one, or a flag that the launcher sets itself.
    """
    canonical = canonical_name(name)
    if canonical.startswith("no-"):
        raise ValueError(f"write {canonical.removeprefix('no-')}: false instead of {canonical}")
    meant = _meant(canonical, OWNED_BY_LAUNCHER)
    if meant is not None:
        raise ValueError(f"{meant} is set by the launcher: leave it out")
    secret = _meant(canonical, SECRET)
    if secret is not None:
        raise ValueError(f"{secret} is a secret: export HF_TOKEN in your shell, it is passed on from there")
    return canonical


def _meant(canonical: str, names: frozenset[str]) -> str | None:
    """Return which of these flags vLLM would understand: argparse takes any beginning of a name for the whole."""
    head, dot, tail = canonical.partition(".")
    for name in sorted(names, key=lambda name: (name != canonical, name)):
        known_head, _, known_tail = name.partition(".")
        inside = not known_tail or (bool(dot) and f"{tail}.".startswith(f"{known_tail}."))
        if known_head.startswith(head) and inside:
            return name
    return None


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

    The inverse of `to_arguments` for values in normal form (`normal_value`).

    Raises:
        ValueError: an argument that belongs to no flag, an unknown short flag, or a flag that stands twice.
    """
    flags: dict[str, FlagValue] = {}
    waiting = ""  # the flag that the next argument may be the value of
    for argument in arguments:
        if argument.startswith("--") or _SHORT.match(argument):
            name, value = _split_argument(argument)
            if name in flags:
                raise ValueError(f"{name} stands twice")
            flags[name] = value
            waiting = name if value is True and "=" not in argument else ""
        elif waiting:
            flags[waiting], waiting = _value_of(waiting, argument), ""
        else:
            raise ValueError(f"{argument!r} belongs to no flag")
    return flags


def _split_argument(argument: str) -> tuple[str, FlagValue]:
    name, equals, value = argument.partition("=")
    canonical = canonical_name(name.removeprefix("--no-") if name.startswith("--no-") else _long(name))
    if name.startswith("--no-"):
        if equals:
            raise ValueError(f"{name} takes no value")
        return canonical, False
    return canonical, _value_of(canonical, value) if equals else True


def _long(name: str) -> str:
    if name.startswith("--"):
        return name
    head, dot, tail = name.partition(".")
    if head not in SHORT_NAMES:
        raise ValueError(f"{name!r} is no flag that is known here: write it in full, with two hyphens")
    return SHORT_NAMES[head] + dot + tail


def _value_of(name: str, text: str) -> FlagValue:
    return text if name in TEXT_FLAGS else parse_value(text)


def parse_value(text: str) -> FlagValue:
    """Return the typed value of a flag's text: `64`, `0.9`, `true`, otherwise the text itself.

    A number only where it reads back as the same number: `1e5`, `007` and `12e45` (half a commit hash) stay text.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, bool):
        return value
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return text
    return value if format_value(value) == text or _DECIMAL.fullmatch(text) else text


def normal_value(name: str, value: FlagValue) -> FlagValue:
    """Return the value in normal form: what `from_arguments` reads where `to_arguments` wrote it.

    `64` and `'64'` are the same argument, so they are the same value; otherwise one configuration would be measured
    twice under two names.

    Raises:
        ValueError: a number that isn't finite, or text that no argument can carry.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: {value} is not a finite number")
    if isinstance(value, str):
        if value != inert(value):
            raise ValueError(f"{name}: the value holds a control character, or another one that can't be seen")
        if holds_password(value):
            raise ValueError(f"{name}: the value holds a password, which would be stored and seen by everyone")
        return _value_of(name, value)
    return str(value) if name in TEXT_FLAGS and not isinstance(value, bool) else value


def parse_command_line(text: str) -> dict[str, FlagValue]:
    """Return the flags of a shell-like line (`--max-num-seqs 64`), a leading `vllm serve MODEL` ignored.

    Raises:
        ValueError: quotes that don't close, or an argument that belongs to no flag.
    """
    words = shlex.split(text.replace("\\\n", " "))
    start = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
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
    return {name: normal_value(name, value) for name, value in named.items()}


FLAG_KEY_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^(--)?[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_]*)*$"}
"""JSON Schema of a flag's name as a file may spell it."""

FLAG_VALUE_SCHEMA: dict[str, Any] = {"type": ["boolean", "number", "string"]}

_FLAGS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "description": "One line of text as on a command line: `--max-num-seqs 64`."},
        {"type": "object", "propertyNames": FLAG_KEY_SCHEMA, "additionalProperties": FLAG_VALUE_SCHEMA},
    ]
}

FixedFlags = Annotated[
    dict[str, FlagValue], AfterValidator(_fixed_flags), BeforeValidator(_flags), WithJsonSchema(_FLAGS_SCHEMA)
]
"""Flags that a study fixes: a mapping, or one line of text as on a command line."""
