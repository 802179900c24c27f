"""Forty configurations that a vLLM refuses or can't run, and the kinds that are right for each.

Everything that a person, or a search space that is too wide, gets wrong. None depends on the machine beyond its having
less than a terabyte of memory, fewer than 64 CPUs and no internet.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuner.domain.failure import FailureKind
from tuner.domain.flags import Flags, FlagValue

K = FailureKind
BASE: Flags = {
    "load-format": "dummy",
    "enforce-eager": True,
    "gpu-memory-utilization": 0.2,
    "max-model-len": 256,
    "max-num-seqs": 8,
}
"""What every configuration has unless it says otherwise; it starts."""


@dataclass(frozen=True, slots=True)
class BadConfig:
    """One of them. Without `flags` that are None: those of the base are left out."""

    name: str
    kinds: tuple[FailureKind, ...]
    """Which kinds are right."""
    flags: Mapping[str, FlagValue | None] = field(default_factory=dict[str, "FlagValue | None"])
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = "tiny"
    """A directory that `make_models` writes, or a name that is nowhere."""
    start_timeout: float = 240.0
    port_is_taken: bool = False

    def all_flags(self) -> dict[str, FlagValue]:
        """Return the flags of the launch."""
        return {name: value for name, value in {**BASE, **self.flags}.items() if value is not None}


def _args(name: str, **flags: FlagValue | None) -> BadConfig:
    return BadConfig(name, (K.INVALID_ARGS,), {key.replace("_", "-"): value for key, value in flags.items()})


CONFIGS: tuple[BadConfig, ...] = (
    # Refused by the argument parser.
    _args("unknown flag", no_such_flag=3),
    _args("misspelt flag", max_num_seq_s=8),
    _args("dtype that does not exist", dtype="float7"),
    _args("text for a number", max_num_seqs="many"),
    _args("KV cache dtype that does not exist", kv_cache_dtype="fp9"),
    _args("scheduling policy that does not exist", scheduling_policy="random"),
    _args("speculative config that is no JSON", speculative_config="{ngram"),
    # Refused by the configuration's own checks.
    _args("fewer batched tokens than sequences", max_num_seqs=256, max_num_batched_tokens=8),
    _args("whole prompts longer than a step", enable_chunked_prefill=False, max_num_batched_tokens=128),
    _args("longer than the model", max_model_len=100_000),
    _args("length of minus five", max_model_len=-5),
    _args("no sequences", max_num_seqs=0),
    _args("no batched tokens", max_num_batched_tokens=0),
    _args("more memory than there is", gpu_memory_utilization=1.5),
    _args("no memory", gpu_memory_utilization=0.0),
    _args("no tensor parallelism", tensor_parallel_size=0),
    _args("heads that three do not divide", tensor_parallel_size=3),
    BadConfig("more pipeline stages than layers", (K.INVALID_ARGS, K.UNSUPPORTED), {"pipeline-parallel-size": 16}),
    _args("more ranks than one machine's world", tensor_parallel_size=4, nnodes=2),
    _args("experts of a model without", enable_expert_parallel=True, tensor_parallel_size=1, all2all_backend="nowhere"),
    _args("compilation mode that does not exist", **{"compilation-config.mode": 9}),
    BadConfig(
        "draft model that is nowhere",
        (K.MODEL_NOT_FOUND,),
        {"speculative-config": '{"model": "/nowhere", "num_speculative_tokens": 2}'},
    ),
    _args("n-grams without a length", **{"speculative-config": '{"method": "ngram"}'}),
    # Known to vLLM, not to this device or this model.
    BadConfig("quantisation that does not exist", (K.INVALID_ARGS, K.UNSUPPORTED), {"quantization": "fp3"}),
    BadConfig("AWQ of a model that has none", (K.UNSUPPORTED,), {"quantization": "awq"}),
    BadConfig("sleep mode on a CPU", (K.UNSUPPORTED,), {"enable-sleep-mode": True}),
    BadConfig("block size of seven", (K.INVALID_ARGS, K.UNSUPPORTED), {"block-size": 7}),
    BadConfig("unknown architecture", (K.UNSUPPORTED,), model="alien"),
    BadConfig(
        "decode context parallelism without tensor parallelism", (K.INVALID_ARGS,), {"decode-context-parallel-size": 2}
    ),
    # The model's files.
    BadConfig("directory that is not there", (K.MODEL_NOT_FOUND,), model="/nowhere/at/all"),
    BadConfig("hub name without a network", (K.MODEL_NOT_FOUND,), model="nobody/nothing-7b"),
    BadConfig("directory without weights", (K.MODEL_NOT_FOUND,), {"load-format": "auto"}),
    BadConfig("directory without a tokenizer", (K.MODEL_NOT_FOUND,), model="mute"),
    BadConfig("configuration that is no JSON", (K.MODEL_NOT_FOUND,), model="torn"),
    # Memory.
    BadConfig("KV cache of a kilobyte", (K.KV_TOO_SMALL,), {"kv-cache-memory-bytes": 1000}),
    BadConfig(
        "KV cache below one request", (K.KV_TOO_SMALL,), {"kv-cache-memory-bytes": 300_000, "max-model-len": 2048}
    ),
    BadConfig("all of the memory", (K.OOM_START, K.GPU_BUSY), {"gpu-memory-utilization": 1.0}),
    BadConfig(
        "KV cache of a petabyte", (K.OOM_START,), {"kv-cache-memory-bytes": 10**15, "gpu-memory-utilization": None}
    ),
    # The surroundings.
    BadConfig("port that another one listens on", (K.PORT_IN_USE,), port_is_taken=True),
    BadConfig("two seconds to start", (K.START_TIMEOUT,), start_timeout=2.0),
)


def make_models(directory: Path, tiny: Path) -> None:
    """Write the models that are wrong, each a copy of the tiny one."""
    config: dict[str, Any] = json.loads((tiny / "config.json").read_text(encoding="utf-8"))
    alien = json.dumps(config | {"architectures": ["AlienForCausalLM"], "model_type": "alien"})
    for name, text, with_tokenizer in (
        ("alien", alien, True),
        ("mute", json.dumps(config), False),
        ("torn", json.dumps(config)[:80], True),
    ):
        model = directory / name
        model.mkdir(parents=True, exist_ok=True)
        (model / "config.json").write_text(text, encoding="utf-8")
        for file in ("tokenizer.json", "tokenizer_config.json") if with_tokenizer else ():
            (model / file).write_bytes((tiny / file).read_bytes())
