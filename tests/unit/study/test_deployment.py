"""Flags as a deployment."""

import pytest

from tuner.domain.errors import InputError
from tuner.domain.flags import FlagValue
from tuner.domain.plan import Deployment
from tuner.study.deployment import FIELDS, deployment_of


def test_flags_of_memory_and_speed_become_fields_and_others_are_passed_over():
    flags: dict[str, FlagValue] = {
        "tensor-parallel-size": 2,
        "gpu-memory-utilization": 0.85,
        "kv-cache-dtype": "fp8",
        "enforce-eager": True,
        "enable-prefix-caching": False,
        "load-format": "dummy",
    }
    assert deployment_of(flags) == Deployment(
        tensor_parallel=2, gpu_memory_utilization=0.85, kv_cache_dtype="fp8", enforce_eager=True, prefix_caching=False
    )


def test_every_flag_names_a_field():
    assert set(FIELDS.values()) <= set(Deployment.model_fields)


@pytest.mark.parametrize(
    ("text", "tokens"), [("16k", 16_000), ("16K", 16_384), ("1.5k", 1500), ("1m", 1_000_000), (4096, 4096)]
)
def test_lengths_are_written_as_vllm_reads_them(text: FlagValue, tokens: int):
    assert deployment_of({"max-model-len": text}).max_model_len == tokens


@pytest.mark.parametrize("value", ["auto", -1])
def test_a_length_left_to_vllm_is_left_open(value: FlagValue):
    assert deployment_of({"max-model-len": value}).max_model_len is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("gpu-memory-utilization", 1.4), ("max-num-seqs", 0), ("max-model-len", "long"), ("tensor-parallel-size", 1.5)],
)
def test_an_impossible_value_is_refused_in_the_words_of_the_flag(name: str, value: FlagValue):
    with pytest.raises(InputError, match=name) as caught:
        deployment_of({name: value}, source="night.yaml")
    assert caught.value.where == "night.yaml"
