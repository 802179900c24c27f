"""Every family against transformers and vLLM themselves, at the sizes that transformers' configurations default to.

`families.json`: parameters as transformers' own classes have them on the meta device; where vLLM 0.32 could build the
model on a CPU, what its parameters take and what its layers keep.
"""

import pytest

from tests.fakes.configs import cache_counts, recorded, shape_of
from tuner.models.families.registry import FAMILIES, family_of
from tuner.models.fields import family_defaults

RECORDED = recorded("families")
SERVED = [name for name, record in RECORDED.items() if "vllm" in record]

CORRECTION_BIASES = {
    "deepseek_v3": 58 * 256,
    "deepseek_v32": 58 * 256,
    "glm4_moe": 45 * 128,
    "glm4_moe_lite": 46 * 64,
    "glm_moe_dsa": 75 * 256,
    "minimax_m2": 62 * 256,
    "nemotron_h": 8,
}
"""Biases of routers that checkpoints hold and transformers keeps as buffers."""


@pytest.mark.parametrize("name", RECORDED)
def test_parameters_are_those_of_transformers(name: str):
    shape = shape_of(RECORDED[name]["config"])
    assert shape.parameters - CORRECTION_BIASES.get(name, 0) == RECORDED[name]["parameters"]
    assert not any("not known here" in note for note in shape.notes)


@pytest.mark.parametrize("name", SERVED)
def test_bytes_and_caches_are_those_of_vllm(name: str):
    shape, found = shape_of(RECORDED[name]["config"], dtype=RECORDED[name]["vllm"]["dtype"]), RECORDED[name]["vllm"]
    assert sum(group.bytes for group in shape.weights) == pytest.approx(found["bytes"], rel=1e-4)
    assert cache_counts(shape) == found["caches"]


def test_a_multimodal_type_is_read_as_its_language_model():
    pairs = {"qwen2_5_vl": "qwen2", "gemma3": "gemma3_text", "llama4": "llama4_text", "mistral3": "mistral"}
    assert {name: family_of(name) for name in pairs} == pairs
    assert family_of("unheard_of") is None


def test_defaults_stand_for_families_only():
    assert {name for name in family_defaults() if family_of(name) is None} == set()
    assert len(FAMILIES) > 60
