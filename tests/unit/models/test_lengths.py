from typing import Any

import pytest

from tuner.models.fields import Fields
from tuner.models.lengths import max_length


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, 2048),
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024, "max_position_embeddings": 4096}, 1024),
        ({"max_position_embeddings": 8192, "model_max_length": 131_072}, 131_072),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4}}, 16_384),
        ({"max_position_embeddings": 4096, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, 8192),
        ({"max_position_embeddings": 131_072, "rope_scaling": {"rope_type": "llama3", "factor": 8}}, 131_072),
        ({"max_position_embeddings": 163_840, "rope_scaling": {"type": "yarn", "factor": 40}}, 163_840),
        ({"max_position_embeddings": 131_072, "rope_parameters": {"rope_type": "yarn", "factor": 32}}, 131_072),
        (
            {
                "max_position_embeddings": 131_072,
                "original_max_position_embeddings": 4096,
                "rope_scaling": {"type": "longrope"},
            },
            4096,
        ),
        (
            {
                "model_type": "gemma3_text",
                "max_position_embeddings": 131_072,
                "rope_scaling": {"rope_type": "linear", "factor": 8},
            },
            131_072,
        ),
    ],
)
def test_the_longest_sequence_is_vllms(config: dict[str, Any], expected: int):
    assert max_length(Fields(config, where="config.json")) == expected
