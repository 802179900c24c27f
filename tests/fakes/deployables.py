"""Configurations to deploy: an H100's with a hub model, and one whose every name is hostile."""

from typing import Any

from jsonschema import Draft202012Validator

from tuner.deploy.deployable import Deployable
from tuner.deploy.form import Form
from tuner.domain.flags import FlagValue
from tuner.domain.measurement import Capacity
from tuner.domain.trial import Provenance

H100 = Provenance(
    device="NVIDIA H100 80GB HBM3",
    device_count=2,
    driver="550.54",
    vllm_version="0.32.0",
    model_identity="0123456789abcdef0123456789abcdef01234567",
)
FLAGS: dict[str, FlagValue] = {
    "max-num-seqs": 256,
    "gpu-memory-utilization": 0.92,
    "tensor-parallel-size": 2,
    "enable-prefix-caching": False,
    "enforce-eager": True,
    "speculative-config": '{"method": "ngram", "num_speculative_tokens": 3}',
    "compilation-config.cudagraph_mode": "FULL",
    "compilation-config.pass_config.fuse_norm_quant": True,
}
HOSTILE = 'a\' "b" $(touch pwned) `id` ${HOME} %n \\ # : {x} & ; | > *'
"""Quotes, expansions, specifiers, comments, separators."""
YAMLS = (Form.YAML, Form.COMPOSE, Form.KUBERNETES)
SECRET = "hf_aSecretThatNobodySees"  # noqa: S105  # none


def make_deployable(**changes: Any) -> Deployable:
    """An H100's configuration, all of whose figures are known."""
    values: dict[str, Any] = {
        "study": "night",
        "trial": 7,
        "model": "Qwen/Qwen3-8B",
        "is_directory": False,
        "flags": FLAGS,
        "on_gpu": True,
        "provenance": H100,
        "target_rps": 10.0,
        "headroom": 2.0,
        "slos": ("ttft_p95 ≤ 500 ms", "tpot_p95 ≤ 50 ms"),
        "capacity": Capacity(rps=24.1, lower_rps=23.0, upper_rps=25.2),
        "replicas": 1,
        "start_limit": 1800.0,
        "started_in": 74.0,
        "python": ("/opt/vllm/bin/python", "-m", "vllm.entrypoints.cli.main", "serve"),
    }
    return Deployable(**(values | changes))


def make_hostile(**changes: Any) -> Deployable:
    """A configuration whose model, flags and environment try to be something else."""
    values: dict[str, Any] = {
        "model": f"/srv/{HOSTILE}",
        "is_directory": True,
        "flags": FLAGS | {"chat-template": HOSTILE, "generation-config": "-x.y"},
        "env": {"VLLM_LOGGING_PREFIX": HOSTILE, "HF_TOKEN": SECRET, "HF_HOME": "/data/hf"},
        "python": (f"/opt/{HOSTILE}/python", "-m", "vllm.entrypoints.cli.main", "serve"),
    }
    return make_deployable(**(values | changes))


def problems(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """What a JSON Schema has against a document."""
    errors = Draft202012Validator(schema).iter_errors(document)  # pyright: ignore[reportUnknownMemberType]
    return [f"{error.json_path}: {error.message}" for error in errors]
