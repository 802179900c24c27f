"""A configuration's flags as the deployment that a plan calculates with.

Owns which of vLLM's flags memory and speed depend on. Imports nothing heavy: `tuner plan` starts with it.
"""

import re

from pydantic import ValidationError

from tuner.domain.errors import InputError
from tuner.domain.flags import Flags, FlagValue
from tuner.domain.plan import Deployment
from tuner.domain.problems import explain

CPU_MEMORY_UTILIZATION = 0.3
"""vLLM's default of 0.92 does not start on a CPU, where other processes hold memory too."""
FIELDS = {
    "tensor-parallel-size": "tensor_parallel",
    "pipeline-parallel-size": "pipeline_parallel",
    "kv-cache-dtype": "kv_cache_dtype",
    "gpu-memory-utilization": "gpu_memory_utilization",
    "kv-cache-memory-bytes": "kv_cache_memory_bytes",
    "block-size": "block_size",
    "max-model-len": "max_model_len",
    "max-num-seqs": "max_num_seqs",
    "max-num-batched-tokens": "max_num_batched_tokens",
    "enforce-eager": "enforce_eager",
    "enable-prefix-caching": "prefix_caching",
}
"""vLLM's flags that memory depends on, and the fields of a deployment that they set."""

_LEFT_TO_VLLM = ("auto", -1)
_HUMAN = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[kKmMgG])")
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
"""vLLM's: a lower-case letter counts in thousands, an upper-case one in powers of two."""


def deployment_of(flags: Flags, *, source: str = "engine.flags") -> Deployment:
    """Return the deployment that a configuration's flags describe; other flags leave it as it is.

    Args:
        flags: vLLM's flags; where one is left out, or left to vLLM, its default holds.
        source: where they stand, for errors.

    Raises:
        InputError: a value that the flag can't have.
    """
    fields = {FIELDS[name]: _number(value) for name, value in flags.items() if name in FIELDS and _is_set(name, value)}
    try:
        return Deployment.model_validate(fields)
    except ValidationError as error:
        raise _in_words_of_flags(explain(error, source=source, model=Deployment)) from error


def _is_set(name: str, value: FlagValue) -> bool:
    return name == "kv-cache-dtype" or value not in _LEFT_TO_VLLM


def _number(value: FlagValue) -> FlagValue:
    """Return `16k` and the like as the number that vLLM reads."""
    found = _HUMAN.fullmatch(value) if isinstance(value, str) else None
    return round(float(found["number"]) * _UNITS[found["unit"]]) if found else value


def _in_words_of_flags(error: InputError) -> InputError:
    names = {field: name for name, field in FIELDS.items()}
    what = re.sub(r"[a-z]+(_[a-z]+)+", lambda match: names.get(match[0], match[0]), error.what)
    return InputError(what, where=error.where, advice=error.advice)
