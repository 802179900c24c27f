from typing import Any

import pytest

from tests.fakes.configs import LLAMA, public_shape, shape_of
from tuner.domain.model import ModelShape, WeightUse


def tower(shape: ModelShape) -> int:
    return sum(group.parameters for group in shape.weights if group.use is WeightUse.ENCODER)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("gemma-3-27b", 423_060_336), ("qwen2-vl-7b", 675_759_104), ("llama-4-scout", 871_932_416)],
)
def test_towers_are_those_of_transformers(name: str, parameters: int):
    shape = public_shape(name)
    assert tower(shape) == parameters
    assert any("vision tower and projector" in note and "estimated" not in note for note in shape.notes)


CLIP: dict[str, Any] = {
    "hidden_size": 1024,
    "image_size": 336,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
}


def test_a_tower_that_is_not_known_is_estimated_and_said():
    shape = shape_of({"model_type": "newvl", "text_config": LLAMA, "vision_config": CLIP})
    assert tower(shape) == pytest.approx(304e6, rel=0.02)
    assert any("estimated" in note for note in shape.notes)


def test_a_text_model_has_none():
    assert tower(shape_of(LLAMA)) == 0


def test_an_audio_tower_is_left_out_and_said():
    shape = shape_of({"model_type": "newomni", "text_config": LLAMA, "audio_config": {}})
    assert "the audio tower is left out" in shape.notes
