"""What a server's log says: why it failed, and which settings were in force. Pure: text in, values out.

The whole log is searched, kind by kind (tuner.server.failure_rules), because vLLM's last line is often empty of news
(`Engine core initialization failed. See root cause above`).
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from tuner.domain.failure import Failure, FailureKind
from tuner.server.failure_rules import RULES
from tuner.server.refusal_rules import Rule

_LONGEST_EVIDENCE = 300
_PREFIX = re.compile(
    r"^\([\w.-]+(?: [\w.=]+)* pid=\d+\) ?|^\[rank\d+\]: ?"  # (EngineCore pid=4601), (VllmWorker rank=1 pid=7), [rank0]:
    r"|^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d \[?[\w./]*:\d+\] ?"
)
_CODE = re.compile(r"^(  File \"[^\n]*\n)(?: {4}[^\n]*\n)+", re.MULTILINE)
"""A frame of a traceback and its source, which may hold the very text of a message that was never printed."""
_FIELD = re.compile(r"^([a-z]\w*(?:\.\w+)*)\n  (?:Input|Value|Field)\b", re.MULTILINE)
"""A field that pydantic refuses; one report may name several."""
_ERROR_LINE = re.compile(
    r"^(?!UserWarning|FutureWarning|DeprecationWarning)(?:[\w.]+(?:Error|Exception|Exit)\b.*)", re.MULTILINE
)
_SURFACE = "Engine core initialization failed"
_KILLED = frozenset({-9, 137})
_MOSTLY_FREE = 0.8
"""From this share of free memory at start on, nobody else holds much: the configuration asked for too much."""


_K = FailureKind
_REFUSING = ("ValueError", "NotImplementedError", "AssertionError")
"""Errors by which vLLM's code refuses a configuration. Where the defaults start, one of them is the configuration's."""
_CRASHES = frozenset({-4, -6, -7, -8, -11})
"""SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV."""
_WORD = re.compile(r"--([a-z][a-z0-9-]+)|\b([a-z]+(?:_[a-z]+)+)\b")
_NAMED = 3
"""How many flags an advice names."""


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


def infeasible(reason: str) -> Failure:
    """Return the failure of a configuration that the engine refuses when it is only asked, in its own words."""
    known = find(reason, ready=False)
    advice = known.advice if known is not None else _name_flags(reason)
    return Failure(kind=_K.INFEASIBLE, evidence=_one_line(reason), advice=advice)


def strip_prefixes(log: str) -> str:
    """Return the log without what vLLM puts before a message (process, level, date, source) and tracebacks' code."""
    lines = (_PREFIX.sub("", _PREFIX.sub("", line, count=1), count=1) for line in log.splitlines())
    return _CODE.sub(r"\1", "\n".join(lines))


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
    evidence = _evidence(match)
    if not advice:
        fields = _FIELD.findall(match.string, match.start()) if groups.get("field") else ()
        return Failure(kind=kind, evidence=evidence, advice=_leave_out(fields) if fields else _name_flags(evidence))
    return Failure(kind=kind, evidence=evidence, advice=advice.format(**groups))


def _evidence(match: re.Match[str]) -> str:
    """Return the line that holds the match's end, without pydantic's dump and Python's decoration."""
    text = match.string
    start = text.rfind("\n", 0, match.end()) + 1
    end = text.find("\n", match.end())
    line = text[start : end if end >= 0 else len(text)]
    said = line.partition(" [type=")[0].strip().removeprefix("Value error, ")
    field = match.groupdict().get("field")
    return _one_line(f"{field}: {said}" if field else said)


def _name_flags(evidence: str) -> str:
    """Return the advice for a refusal without a rule of its own: the settings that its text names."""
    field, colon, _ = evidence.partition(": Input should")
    found = [dashed or word for dashed, word in _WORD.findall(evidence)]
    return _leave_out([field] if colon else found)


def _leave_out(settings: Sequence[str]) -> str:
    names = list(dict.fromkeys(name.replace("_", "-") for name in settings))[:_NAMED]
    if names:
        return f"Change or leave out {' or '.join(names)}."
    return "Change or leave out the flags that make this configuration differ from one that starts."


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_EVIDENCE else words[: _LONGEST_EVIDENCE - 1] + "…"


def _without_a_text(text: str, *, exit_code: int | None, ready: bool) -> Failure:
    if exit_code in _KILLED:
        kind = _K.OOM_RUN if ready else _K.OOM_START
        evidence = f"the server was killed (exit code {exit_code}), as the kernel does when the host's memory is full"
        return Failure(kind=kind, evidence=evidence, advice="Give the host more memory, or the engine less to hold.")
    evidence = _last_error(text, exit_code)
    if ready or exit_code in _CRASHES:
        return Failure(kind=_K.ENGINE_DEAD, evidence=evidence, advice="Read the launch's log.")
    if evidence.startswith(_REFUSING):
        return Failure(kind=_K.INVALID_ARGS, evidence=evidence, advice=_name_flags(evidence))
    return Failure(kind=_K.UNKNOWN, evidence=evidence, advice="Read the launch's log.")


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
    ("device_memory_gib", r"total_gpu_memory \(([\d.]+)GiB\)|[Ss]et \([\d.]+/([\d.]+)\) GiB for KV cache", _decimal),
    (
        "weights_gib",
        r"(?:Model loading|Loading model weights) took ([\d.]+) Gi?B|model weights take ([\d.]+) ?GiB",
        _decimal,
    ),
    ("activations_gib", r"activation peak memory takes ([\d.]+) ?GiB", _decimal),
    ("outside_torch_gib", r"non_torch_memory takes ([\d.]+) ?GiB", _decimal),
    ("graph_estimate_gib", r"Estimated CUDA graph memory: ([\d.]+) GiB total", _decimal),
    ("beside_kv_gib", r"([\d.]+) GiB memory was consumed by non-kv usages", _decimal),
    (
        "kv_cache_gib",
        (
            r"Available KV cache memory: ([\d.]+) GiB|[Ss]et \(([\d.]+)/[\d.]+\) GiB for KV cache"
            r"|memory reserved for KV Cache is ([\d.]+) ?GiB"
        ),
        _decimal,
    ),
    ("kv_cache_tokens", r"KV cache size: ([\d,]+) tokens", _integer),
    ("max_concurrency", r"Maximum concurrency for [\d,]+ tokens per request: ([\d.,]+)x", _decimal),
    ("engine_init_s", r"init engine \(.*\) took ([\d.]+) s", _decimal),
    ("graph_capture_gib", r"Graph capturing finished in .* took (-?[\d.]+) GiB", _decimal),
)


def resolved_settings(log: str) -> dict[str, Any]:
    """Return the settings in force that the log names; what it does not name is absent.

    What ends in `_gib` is GiB of one device, `engine_init_s` seconds, `max_concurrency` requests of the longest kind.
    The parts of the memory's sum that a version does not log are absent: 0.32 on a GPU names weights, the estimate for
    CUDA graphs and what is left, on a CPU what is left and all the rest together; versions before 0.9 named every part.
    """
    settings: dict[str, Any] = {}
    for name, pattern, convert in _SETTINGS:
        match = re.search(pattern, log)
        if match is not None:
            settings[name] = convert(next(group for group in match.groups() if group is not None))
    return settings
