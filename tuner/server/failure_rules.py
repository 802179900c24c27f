"""The texts that prove why a server failed, each with its kind and what to do about it. Pure: patterns and words.

Written from recorded logs and from the sources of vLLM 0.6 to 0.32. The patterns are anchored to whole messages,
because start-up logs hold harmless texts such as `OSError: [Errno 24]` inside a warning. docs/failures.md tells the
kinds.
"""

import re
from dataclasses import dataclass

from tuner.domain.failure import FailureKind


@dataclass(frozen=True, slots=True)
class Rule:
    """One text that proves one kind.

    `advice` may name the pattern's groups. A group called `field` belongs before the line that is the evidence, `said`
    is the evidence itself where the line has more.
    """

    kind: FailureKind
    pattern: re.Pattern[str]
    advice: str

    @classmethod
    def of(cls, kind: FailureKind, pattern: str, advice: str = "") -> "Rule":
        """Compile a rule; `^` and `$` mean a line."""
        return cls(kind, re.compile(pattern, re.MULTILINE), advice)


_K = FailureKind
_ARGUMENT = r"^[\w. -]+: error: argument (?P<flag>--[\w-]+)\S*: "
_LOWER_SEQS = "Lower max-num-seqs, max-num-batched-tokens or gpu-memory-utilization."
_MODEL_FILES = "Check the model's name or directory; offline, fetch it first."
_ANOTHER_QUANTIZATION = "Choose another quantization, or a model that was stored with this one."
_FEWER_WORKERS = "Lower tensor-parallel-size, pipeline-parallel-size or data-parallel-size"
_NEWER_VLLM = "This vLLM does not know the model's architecture: use a newer one."

ARGUMENTS: tuple[Rule, ...] = (
    Rule.of(
        _K.INVALID_ARGS,
        r"^(?:[\w. -]+: error: )?unrecognized arguments: (?P<said>.+)",
        "This vLLM has no {said}: remove it, or look for its name with `vllm serve --help=all`.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        _ARGUMENT + r"invalid choice: (?P<given>\S+)",
        "Give {flag} one of the values that vLLM names instead of {given}.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        _ARGUMENT + r"invalid (?P<type>\w+) value: (?P<given>.+)",
        "Give {flag} a value of the type {type} instead of {given}.",
    ),
    Rule.of(_K.INVALID_ARGS, _ARGUMENT + r"Value .+ cannot be converted", "Give {flag} valid JSON."),
    Rule.of(
        _K.INVALID_ARGS,
        _ARGUMENT + r"\d+ validation errors? for \w+\n(?P<field>\S+)\n\s+(?:Value error, )?.+",
        "Change {field} in {flag}.",
    ),
    Rule.of(_K.INVALID_ARGS, _ARGUMENT + r"expected .*argument", "Give {flag} a value."),
    Rule.of(_K.INVALID_ARGS, _ARGUMENT + r".+", "Change {flag}, or leave it out."),
    Rule.of(
        _K.INVALID_ARGS,
        r"^[\w. -]+: error: (?:the following arguments|ambiguous option)\b.+",
        "Write every flag in full, as `vllm serve --help=all` has it.",
    ),
)
"""What the argument parser says, exit code 2."""

CONFIGURATION: tuple[Rule, ...] = (
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
        r"tp_size=(?P<tp>\d+) must be divisible by dcp_size=(?P<dcp>\d+)",
        "Choose a decode-context-parallel-size that divides {tp}, the tensor-parallel-size.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"World size \((?P<world>\d+)\) is larger than the number of available GPUs \((?P<gpus>\d+)\)",
        "Only {gpus} GPUs are visible: lower tensor-parallel-size or pipeline-parallel-size.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"number of required GPUs exceeds the total number of available GPUs|CUDA error: invalid device ordinal"
        r"|local rank \d+ is out of bounds|device ordinal \d+ is out of range",
        "Fewer GPUs are visible than the configuration uses. " + _FEWER_WORKERS + ", or widen engine.gpus.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"Not enough allowed NUMA nodes to bind threads of (?P<workers>\d+) local CPUWorkers",
        "This machine's CPUs are too few for {workers} workers. " + _FEWER_WORKERS + ".",
    ),
    Rule.of(_K.INVALID_ARGS, r"^\S*Error: No common block size for \d+", "Choose another block-size."),
    Rule.of(
        _K.INVALID_ARGS,
        r"num_speculative_tokens must be provided",
        "Add num_speculative_tokens to speculative-config.",
    ),
    Rule.of(
        _K.INVALID_ARGS,
        r"Quantization method specified in the model config \((?P<stored>[^)]+)\) does not match",
        "The model is stored as {stored}: leave quantization out.",
    ),
    Rule.of(_K.INVALID_ARGS, r"No valid cudagraph sizes after rounding", "Change or leave out the CUDA graphs' sizes."),
)
"""What vLLM's own checks of a configuration say."""

MODEL: tuple[Rule, ...] = (
    Rule.of(
        _K.MODEL_NOT_FOUND, r"GatedRepoError|access a gated repo", "Accept the model's licence and export HF_TOKEN."
    ),
    Rule.of(
        _K.MODEL_NOT_FOUND,
        r"HFValidationError: Repo id must be in the form|LocalEntryNotFoundError: "
        r"|Invalid repository ID or local directory specified|RepositoryNotFoundError|RevisionNotFoundError"
        r"|OSError: Can't load the configuration of|is not a local folder and is not a valid model identifier"
        r"|We couldn't connect to 'https?://|does not appear to have a file named config\.json",
        _MODEL_FILES,
    ),
    Rule.of(
        _K.MODEL_NOT_FOUND,
        r"^(?:\S*Error: )?It looks like the config file at .* is not (?:a )?valid JSON.*",
        "The model's config.json is damaged: fetch it again.",
    ),
    Rule.of(
        _K.MODEL_NOT_FOUND,
        r"Cannot find any model weights with",
        "The model's directory holds no weights that load-format reads: fetch them, or set load-format: dummy in "
        "engine.flags to measure without.",
    ),
    Rule.of(
        _K.MODEL_NOT_FOUND,
        r"SafetensorError: |PytorchStreamReader failed|Error while deserializing header",
        "A file of the model's weights is damaged or cut: fetch it again.",
    ),
    Rule.of(
        _K.MODEL_NOT_FOUND,
        r"Couldn't instantiate the backend tokenizer|Can't load tokenizer for|OSError: Can't load the tokenizer",
        "Put the tokenizer's files into the model's directory, or name another with tokenizer in engine.flags.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"contains? custom code which must be executed|Please pass the argument `trust_remote_code=True`"
        r"|requires you to execute the (?:configuration|modeling) file",
        "Read the model's code, and if you trust it set trust-remote-code: true in engine.flags.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"Model architectures .* are not supported for now|Transformers does not recognize this architecture",
        _NEWER_VLLM,
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"Model architectures .* failed to be inspected",
        "A package that the model needs is missing or too old in vLLM's interpreter: the log names it further up.",
    ),
)
"""What is wrong with the model: its files, or that nobody knows it."""

DEVICE: tuple[Rule, ...] = (
    Rule.of(
        _K.UNSUPPORTED,
        r"not supported for the current GPU\. Minimum capability: (?P<need>\S+?)\. Current capability: (?P<have>\d+)",
        "The GPU's compute capability is {have}, the quantisation needs {need}: choose another.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"[Bb]float16`? is only supported on GPUs with compute capability of at least 8",
        "Set dtype: half: this GPU has no bfloat16.",
    ),
    Rule.of(_K.UNSUPPORTED, r"The model type .* does not support float16", "Choose another dtype."),
    Rule.of(
        _K.UNSUPPORTED,
        r"is not supported for quantization method (?P<method>\S+?)\. Supported dtypes: (?P<dtypes>.+)",
        "With {method} choose a dtype of {dtypes}.",
    ),
    Rule.of(_K.UNSUPPORTED, r"Cannot find the config file for \w+|Unknown quantization method", _ANOTHER_QUANTIZATION),
    Rule.of(
        _K.UNSUPPORTED,
        r"Selected backend \S+ is not valid for this configuration|No valid (?:MLA prefill |attention )?backend found",
        "Leave attention-backend out, or choose one that this device, this model and this KV cache's dtype have.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"Pipeline parallelism is (?:not|only) supported for",
        "Leave pipeline-parallel-size out: this model has no pipeline stages.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"[\w ]+ not supported on (?:the )?current platform",
        "Leave out what asks for it: this device does not have it.",
    ),
    Rule.of(
        _K.UNSUPPORTED,
        r"no kernel image is available for execution on the device",
        "This vLLM was not built for this GPU: install a build that was.",
    ),
)
"""What this device, or this model on it, does not have."""

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
