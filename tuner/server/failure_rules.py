"""All texts that prove why a server failed, in the order in which a log is searched for them. Pure: patterns and words.

Owns those of memory, of the machine and of dying engines; refusals have a module of their own. docs/failures.md tells
the kinds.
"""

from tuner.domain.failure import FailureKind
from tuner.server.refusal_rules import ARGUMENTS, CONFIGURATION, DEVICE, MODEL, Rule

_K = FailureKind
_LOWER_SEQS = "Lower max-num-seqs, max-num-batched-tokens or gpu-memory-utilization."

MEMORY: tuple[Rule, ...] = (
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
        r"max_num_seqs \((?P<seqs>\d+)\) exceeds available Mamba cache blocks \((?P<blocks>\d+)\)",
        "Set max-num-seqs to at most {blocks}, or raise gpu-memory-utilization.",
    ),
    Rule.of(
        _K.KV_TOO_SMALL,
        r"^\S*Error: (?:No available memory for the cache blocks|Cannot auto-fit max_model_len)",
        "Raise gpu-memory-utilization, or lower max-num-batched-tokens and max-num-seqs.",
    ),
    Rule.of(
        _K.GPU_BUSY,
        r"(?:Free memory on device|Available memory on node)(?: \S+)? \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) "
        r"on startup is less than",
        "Only {free} of {total} GiB are free: end the other processes, or set gpu-memory-utilization below {share}.",
    ),
    Rule.of(
        _K.KV_TOO_SMALL,
        r"Available memory on node \S+ \([\d./]+ GiB\) on kv cache allocation is less than requested memory for kv "
        r"\(-[\d.]+/[\d.]+ GiB\)",
        "Raise gpu-memory-utilization: all of it is used up before the KV cache.",
    ),
    Rule.of(
        _K.OOM_START,
        r"Available memory on node \S+ \((?P<free>[\d.]+)/[\d.]+ GiB\) on kv cache allocation is less than requested",
        "Lower kv-cache-memory-bytes (VLLM_CPU_KVCACHE_SPACE): {free} GiB are free.",
    ),
    Rule.of(_K.GPU_BUSY, r"Error in memory profiling\.", "Another process freed or took memory meanwhile: try again."),
    Rule.of(
        _K.OOM_START,
        r"(?:torch\.\w*\.?OutOfMemoryError: |RuntimeError: |^)(?:CUDA|HIP) out of memory\b"
        r"|OutOfMemoryError: |Failed to load model - not enough GPU memory|(?:CUDA|HIP) error: out of memory"
        r"|CUBLAS_STATUS_ALLOC_FAILED|NVML_SUCCESS == r INTERNAL ASSERT FAILED",
        _LOWER_SEQS,
    ),
    Rule.of(
        _K.OOM_START,
        r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory)|^MemoryError\b"
        r"|Worker proc \S+ died unexpectedly \(exit code: -9\)|Failed core proc\(s\): \{[^}\n]*: -9\b",
        "The host's memory is full, and the kernel ended a process: give it more, or the engine less to hold.",
    ),
)
"""Too little memory: for the KV cache, because of somebody else, for the rest."""

MACHINE: tuple[Rule, ...] = (
    Rule.of(
        _K.PORT_IN_USE,
        r"^OSError: \[Errno 98\].*|bind\(\): port must be 0-65535",
        "Choose another port, or none: a free one is taken then.",
    ),
    Rule.of(
        _K.MACHINE,
        r"^\S*Error: .*\[Errno 28\].*|^\S*Error: .*No space left on device.*",
        "The disk, or /dev/shm, is full: make room, and resume.",
    ),
    Rule.of(
        _K.MACHINE,
        r"unable to (?:mmap|open shared memory object|allocate shared memory)"
        r"|Unexpected bus error encountered in worker",
        "Shared memory is too small: give a container more (--shm-size=4g), or remove what is left in /dev/shm.",
    ),
    Rule.of(
        _K.MACHINE,
        r"^OSError: \[Errno 24\].*|^RuntimeError: can't start new thread",
        "Raise the limit of open files or processes (ulimit -n, ulimit -u), and resume.",
    ),
    Rule.of(
        _K.MACHINE,
        r"^PermissionError: \[Errno 13\].*|^OSError: \[Errno 30\].*",
        "Let the tuner's user write there: vLLM keeps caches below the home directory (HF_HOME, VLLM_CACHE_ROOT).",
    ),
    Rule.of(
        _K.CUDA_ERROR,
        r"^\S*(?:Error: )?.*(?:Found no NVIDIA driver|No CUDA GPUs are available|libcuda\.so\.1: cannot open"
        r"|CUDA driver version is insufficient|Failed to infer device type|NVIDIA driver on your system is too old).*",
        "The driver shows this vLLM no GPU: see nvidia-smi, engine.gpus and CUDA_VISIBLE_DEVICES.",
    ),
    Rule.of(
        _K.CUDA_ERROR,
        r"(?:DistBackendError|RuntimeError): NCCL error.*|ncclUnhandledCudaError.*|ncclSystemError.*",
        "The GPUs do not reach each other: see the log's NCCL lines (NCCL_DEBUG=INFO in engine.env tells more).",
    ),
)
"""What the machine lacks, whatever the configuration."""

VALIDATION = Rule.of(
    _K.INVALID_ARGS,
    r"ValidationError: \d+ validation errors? for \w+\n(?:(?P<field>\w[\w.]*)\n)?\s+(?:Value error, )?"
    r"(?:.+?)(?: \[type=|$)",
)
"""A refusal by pydantic without a rule of its own; follows those, whose texts it contains."""

LATE: tuple[Rule, ...] = (
    VALIDATION,
    Rule.of(
        _K.CUDA_ERROR,
        r"(?:CUDA|HIP) error: (?!out of memory).+|uncorrectable ECC error.*|CUBLAS_STATUS_\w+ when calling"
        r"|HW Exception by GPU node.*",
        "The next launch usually works. If it does not: look for Xid errors (dmesg | grep -i xid) and reset the GPU.",
    ),
    Rule.of(
        _K.COMPILE_CACHE,
        r"previous compilation failed, leading to a corrupted compilation artifact"
        r"|failed to get the hash of the compiled graph"
        r"|(?:Error|Exception): .*(?:torch_aot_compile|torch_compile_cache)",
        "Delete vLLM's compile cache (VLLM_CACHE_ROOT, by default ~/.cache/vllm).",
    ),
    Rule.of(
        _K.COMPILE_CACHE,
        r"^[ ]+File \"[^\"\n]*(?:torch_aot_compile|torch_compile_cache|vllm/compilation/caching\.py)[^\n]*\n"
        r"(?:[ ]+[^\n]*\n)*(?P<said>[\w.]+(?:Error|Exception)\b.*)",
        "Delete vLLM's compile cache (VLLM_CACHE_ROOT, by default ~/.cache/vllm).",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"^(?:ModuleNotFoundError|ImportError): .+",
        "Install what is missing into vLLM's interpreter, or leave out the flag that needs it.",
    ),
    Rule.of(
        _K.START_TIMEOUT,
        r"Timed out waiting for (?:new )?engine core processes to",
        "Raise VLLM_ENGINE_READY_TIMEOUT_S in engine.env.",
    ),
    Rule.of(
        _K.ENGINE_DEAD,
        r"EngineCore encountered a fatal error|Worker proc \S+ died unexpectedly|EngineDeadError"
        r"|EngineCore encountered an issue|RPC call to \w+ timed out|MQEngineDeadError|Engine loop is not running",
        "Read the launch's log around this line. If it comes back with these flags, avoid them.",
    ),
)
"""What another text is nearer to the cause than."""

RULES: tuple[Rule, ...] = (*ARGUMENTS, *CONFIGURATION, *MODEL, *DEVICE, *MEMORY, *MACHINE, *LATE)
"""Searched in this order; the first kind found wins.

`engine_dead` comes last: its texts follow every death, so that any other text is nearer to the cause.
"""
