"""The texts by which vLLM refuses a configuration, a model or a device, each with its kind and advice. Pure.

Written from recorded logs and from the sources of vLLM 0.6 to 0.32. The patterns are anchored to whole messages,
because start-up logs hold harmless texts such as `OSError: [Errno 24]` inside a warning.
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
