"""What a server's log says: why it failed, and which settings were in force. Pure: text in, values out.

The whole log is searched, kind by kind, because vLLM's last line is often empty of news (`Engine core initialization
failed. See root cause above`). The patterns are anchored to whole messages: start-up logs hold harmless texts such as
`OSError: [Errno 24]` inside a warning, or `'shutdown_timeout': 0` inside a dump.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tuner.domain.failure import Failure, FailureKind

_LONGEST_EVIDENCE = 300
_PREFIX = re.compile(
    r"^\([\w.-]+(?: [\w.]+)* pid=\d+\) ?"  # (EngineCore pid=4601), (Worker TP0 pid=7)
    r"|^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?"
)
_ERROR_LINE = re.compile(
    r"^(?!UserWarning|FutureWarning|DeprecationWarning)(?:[\w.]+(?:Error|Exception|Exit)\b.*)", re.MULTILINE
)
_SURFACE = "Engine core initialization failed"
_KILLED = frozenset({-9, 137})
_MOSTLY_FREE = 0.8
"""From this share of free memory at start on, nobody else holds much: the configuration asked for too much."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One text that proves one kind. `advice` may name the pattern's groups."""

    kind: FailureKind
    pattern: re.Pattern[str]
    advice: str

    @classmethod
    def of(cls, kind: FailureKind, pattern: str, advice: str = "") -> "Rule":
        """Compile a rule; `^` and `$` mean a line."""
        return cls(kind, re.compile(pattern, re.MULTILINE), advice)


_K = FailureKind
_LOWER_SEQS = "Lower max-num-seqs, max-num-batched-tokens or gpu-memory-utilization."

RULES: tuple[Rule, ...] = (
    Rule.of(
        _K.INVALID_ARGS,
        r"^[\w. -]+: error: unrecognized arguments: (?P<said>.+)",
        "This vLLM has no {said}: remove it.",
    ),
    Rule.of(_K.INVALID_ARGS, r"^[\w. -]+: error: (?:argument|the following arguments|ambiguous option)\b.+"),
    Rule.of(
        _K.INVALID_ARGS,
        r"max_num_batched_tokens \((?P<batched>\d+)\) must be greater than or equal to max_num_seqs \((?P<seqs>\d+)\)",
        "Set max-num-batched-tokens to at least {seqs}, or max-num-seqs to at most {batched}.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"max_num_batched_tokens \((?P<batched>\d+)\) is smaller than max_model_len \((?P<length>\d+)\)",
        "Set max-num-batched-tokens to at least {length}, max-model-len to at most {batched}, "
        "or enable-chunked-prefill.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len "
        r"\(\w+=(?P<most>\d+)",
        "Set max-model-len to at most {most}, or shorten the workload's requests.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"Total number of attention heads \((?P<heads>\d+)\) must be divisible by tensor parallel size \((?P<tp>\d+)\)",
        "Choose a tensor-parallel-size that divides {heads}.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"World size \((?P<world>\d+)\) is larger than the number of available GPUs \((?P<gpus>\d+)\)",
        "Only {gpus} GPUs are visible: lower tensor-parallel-size or pipeline-parallel-size.",
    ),
    Rule.of(_K.INVALID_ARGS, r"^\S*Error: No common block size for \d+", "Choose another block-size."),
    Rule.of(
        _K.MODEL_NOT_FOUND,
        r"HFValidationError: Repo id must be in the form|LocalEntryNotFoundError: "
        r"|Invalid repository ID or local directory specified|RepositoryNotFoundError|OSError: Can't load the "
        r"configuration of",
        "Check the model's name or directory; offline, fetch it first.",
    ),
    Rule.of(_K.MODEL_NOT_FOUND, r"GatedRepoError", "Accept the model's licence on the hub and export HF_TOKEN."),
    Rule.of(
        _K.UNSUPPORTED,
        r"Model architectures .* are not supported for now",
        "This vLLM does not know the model's architecture: use a newer one.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"not supported for the current GPU\. Minimum capability: (?P<need>\S+?)\. Current capability: (?P<have>\d+)",
        "The GPU's compute capability is {have}, the quantisation needs {need}: choose another.",
    ),
    Rule.of(_K.UNSUPPORTED, r"The model type .* does not support float16", "Choose another dtype."),
    Rule.of(
        _K.UNSUPPORTED,
        r"Cannot find the config file for \w+|Unknown quantization method",
        "Choose another quantization.",
    ),
    Rule.of(
        _K.KV_TOO_SMALL,
        r"model's max seq len \((?P<length>\d+)\).*the estimated maximum model length is (?P<most>\d+)",
        "Set max-model-len to at most {most}, or give the KV cache more memory for {length} "
        "(gpu-memory-utilization, kv-cache-memory-bytes).",
    ),
    Rule.of(
        _K.KV_TOO_SMALL,
        r"max seq len \((?P<length>\d+)\) is larger than the maximum number of tokens that can be stored in KV cache "
        r"\((?P<most>\d+)\)",
        "Set max-model-len to at most {most}, or raise gpu-memory-utilization.",
    ),
    Rule.of(
        _K.KV_TOO_SMALL,
        r"To serve at least one request with the models?'s max seq len \((?P<length>\d+)\)",
        "Set max-model-len below {length}, or give the KV cache more memory (gpu-memory-utilization, "
        "kv-cache-memory-bytes).",
    ),
    Rule.of(
        _K.KV_TOO_SMALL,
        r"^\S*Error: (?:No available memory for the cache blocks|Cannot auto-fit max_model_len)",
        "Raise gpu-memory-utilization, or lower max-num-batched-tokens and max-num-seqs.",
    ),
    Rule.of(
        _K.GPU_BUSY,
        r"(?:Free memory on device|Available memory on node) \S+ \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on startup "
        r"is less than",
        "Only {free} of {total} GiB are free: end the other processes, or set gpu-memory-utilization below {share}.",
    ),
    Rule.of(_K.GPU_BUSY, r"Error in memory profiling\.", "Another process freed or took memory meanwhile: try again."),
    Rule.of(
        _K.OOM_START,
        r"(?:torch\.\w*\.?OutOfMemoryError: |RuntimeError: |^)CUDA out of memory\b"
        r"|OutOfMemoryError: |Failed to load model - not enough GPU memory|CUDA error: out of memory",
        _LOWER_SEQS,
    ),
    Rule.of(_K.OOM_START, r"DefaultCPUAllocator: can't allocate memory|^MemoryError\b", "The host's memory is full."),
    Rule.of(
        _K.PORT_IN_USE,
        r"^OSError: \[Errno 98\].*|bind\(\): port must be 0-65535",
        "Choose another port, or none: a free one is taken then.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"ValidationError: \d+ validation errors? for \w*(?:Config|Args)\w*\n(?:\S+\n)?\s+(?:Value error, )?"
        r"(?P<said>.+?)(?: \[type=|$)",
    ),
    Rule.of(_K.CUDA_ERROR, r"CUDA error: (?!out of memory).+|uncorrectable ECC error.*|CUBLAS_STATUS_\w+ when calling"),
    Rule.of(
        _K.COMPILE_CACHE,
        r"previous compilation failed, leading to a corrupted compilation artifact"
        r"|(?:Error|Exception): .*(?:torch_aot_compile|torch_compile_cache)",
        "Delete vLLM's compile cache (VLLM_CACHE_ROOT, by default ~/.cache/vllm).",
    ),
    Rule.of(
        _K.START_TIMEOUT,
        r"Timed out waiting for engine core processes to start",
        "Raise VLLM_ENGINE_READY_TIMEOUT_S in engine.env.",
    ),
    Rule.of(
        _K.ENGINE_DEAD,
        r"EngineCore encountered a fatal error|Worker proc \S+ died unexpectedly|EngineDeadError"
        r"|EngineCore encountered an issue|RPC call to \w+ timed out",
    ),
)
"""Searched in this order; the first kind found wins.

`engine_dead` comes last: its texts follow every death, so that any other text is nearer to the cause. The general
validation error follows the specific texts, which it contains.
"""


def diagnose(log: str, *, exit_code: int | None, ready: bool) -> Failure:
    """Return why a server ended by itself, or never became ready.

    Args:
        log: its whole output.
        exit_code: as the operating system gave it, when the end was its own; None while it runs.
        ready: whether it had answered a completion before.
    """
    return find(log, ready=ready) or _without_a_text(strip_prefixes(log), exit_code=exit_code, ready=ready)


def find(log: str, *, ready: bool) -> Failure | None:
    """Return the failure that a text in the log proves, None when no text does."""
    text = strip_prefixes(log)
    for rule in RULES:
        match = rule.pattern.search(text)
        if match is not None:
            return _failure(rule, match, ready=ready)
    return None


def strip_prefixes(log: str) -> str:
    """Return the log without the process, level, date and source that vLLM puts before a message."""
    return "\n".join(_PREFIX.sub("", _PREFIX.sub("", line, count=1), count=1) for line in log.splitlines())


def _failure(rule: Rule, match: re.Match[str], *, ready: bool) -> Failure:
    kind = rule.kind
    groups = {name: value or "" for name, value in match.groupdict().items()}
    advice = rule.advice
    if kind is _K.GPU_BUSY and "free" in groups:
        share = float(groups["free"]) / float(groups["total"])
        groups["share"] = f"{int(share * 100) / 100:.2f}"
        if share >= _MOSTLY_FREE:
            kind = _K.OOM_START
            advice = "Set gpu-memory-utilization below {share}: {free} of {total} GiB are free."
    if kind is _K.OOM_START and ready:
        kind = _K.OOM_RUN
    return Failure(kind=kind, evidence=_evidence(match), advice=advice.format(**groups))


def _evidence(match: re.Match[str]) -> str:
    """Return the line that holds the match's end, without pydantic's dump and Python's decoration."""
    text = match.string
    start = text.rfind("\n", 0, match.end()) + 1
    end = text.find("\n", match.end())
    line = text[start : end if end >= 0 else len(text)]
    return _one_line(line.partition(" [type=")[0].strip().removeprefix("Value error, "))


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_EVIDENCE else words[: _LONGEST_EVIDENCE - 1] + "…"


def _without_a_text(text: str, *, exit_code: int | None, ready: bool) -> Failure:
    if exit_code in _KILLED:
        kind = _K.OOM_RUN if ready else _K.OOM_START
        evidence = f"the server was killed (exit code {exit_code}), as the kernel does when the host's memory is full"
        return Failure(kind=kind, evidence=evidence, advice="Give the host more memory, or the engine less to hold.")
    kind = _K.ENGINE_DEAD if ready else _K.UNKNOWN
    return Failure(kind=kind, evidence=_last_error(text, exit_code), advice="Read the launch's log.")


def _last_error(text: str, exit_code: int | None) -> str:
    errors = [line for line in _ERROR_LINE.findall(text) if _SURFACE not in line]
    if errors:
        return _one_line(errors[-1])
    ended = "the server still ran" if exit_code is None else f"the server ended with exit code {exit_code}"
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    return _one_line(f"{ended}; last line: {last}" if last else f"{ended} and wrote no log")


def _integer(text: str) -> int:
    return int(text.replace(",", ""))


def _decimal(text: str) -> float:
    return float(text.replace(",", ""))


_SETTINGS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("vllm_version", r"Initializing a V\d LLM engine \(v(\d[^)\s]*)\)|version (\d+\.\d+\S*)", str),
    ("architecture", r"Resolved architecture: (\w+)", str),
    ("dtype", r"\bdtype=torch\.(\w+)", str),
    ("quantization", r"\bquantization=(?!None)(\w+)", str),
    ("kv_cache_dtype", r"\bkv_cache_dtype=(\w+)", str),
    ("load_format", r"\bload_format=(\w+)", str),
    ("tensor_parallel_size", r"\btensor_parallel_size=(\d+)", _integer),
    ("pipeline_parallel_size", r"\bpipeline_parallel_size=(\d+)", _integer),
    ("enforce_eager", r"\benforce_eager=(True|False)", "True".__eq__),
    ("max_model_len", r"Using max model len (\d+)|\bmax_seq_len=(\d+)", _integer),
    ("max_num_batched_tokens", r"Chunked prefill is enabled with max_num_batched_tokens=(\d+)", _integer),
    ("enable_chunked_prefill", r"\benable_chunked_prefill=(True|False)|(Chunked prefill is enabled)", "False".__ne__),
    ("enable_prefix_caching", r"\benable_prefix_caching=(True|False)", "True".__eq__),
    ("cudagraph_mode", r"'cudagraph_mode': <CUDAGraphMode\.(\w+)", str),
    ("attention_backend", r"Using (\w+(?: Attention)?)(?: attention)? backend", str),
    ("weights_gib", r"(?:Model loading|Loading model weights) took ([\d.]+) Gi?B", _decimal),
    ("kv_cache_gib", r"Available KV cache memory: ([\d.]+) GiB|[Ss]et \(([\d.]+)/[\d.]+\) GiB for KV cache", _decimal),
    ("kv_cache_tokens", r"KV cache size: ([\d,]+) tokens", _integer),
    ("max_concurrency", r"Maximum concurrency for [\d,]+ tokens per request: ([\d.,]+)x", _decimal),
    ("engine_init_s", r"init engine \(.*\) took ([\d.]+) s", _decimal),
    ("graph_capture_gib", r"Graph capturing finished in .* took (-?[\d.]+) GiB", _decimal),
)


def resolved_settings(log: str) -> dict[str, Any]:
    """Return the settings in force that the log names; what it does not name is absent.

    `kv_cache_gib` and `weights_gib` are GiB, `engine_init_s` seconds, `max_concurrency` requests of the longest kind.
    """
    settings: dict[str, Any] = {}
    for name, pattern, convert in _SETTINGS:
        match = re.search(pattern, log)
        if match is not None:
            settings[name] = convert(next(group for group in match.groups() if group is not None))
    return settings
