from typing import Any

from tests.fakes.configs import cache_counts, public_shape, shape_of
from tuner.domain.model import WeightUse

GEMMA_3_4B: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "torch_dtype": "bfloat16",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10_240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
    },
}
"""As on the hub: heads, vocabulary and longest sequence are left to the configuration class."""


def test_gemma_2_has_a_window_in_every_other_layer():
    shape = public_shape("gemma-2-27b")
    assert cache_counts(shape) == {"sliding 16 128 128 4096": 23, "full 16 128 128": 23}
    assert shape.layers[0].type == "sliding"


def test_gemma_3_has_a_window_in_five_layers_of_six():
    assert cache_counts(public_shape("gemma-3-27b")) == {"sliding 16 128 128 1024": 52, "full 16 128 128": 10}


def test_sizes_that_a_language_part_leaves_out_are_those_of_its_class():
    shape = shape_of(GEMMA_3_4B)
    assert shape.parameters == 4_300_079_472
    assert (shape.max_length, shape.vocabulary, shape.heads) == (131_072, 262_208, 8)


def test_a_tower_is_not_read_while_tokens_are_generated():
    tower = next(group for group in shape_of(GEMMA_3_4B).weights if group.use is WeightUse.ENCODER)
    assert (tower.parameters, tower.read) == (419_816_304, 0)


def test_later_layers_of_gemma_3n_share_caches():
    config = {
        "model_type": "gemma3n_text",
        "hidden_size": 2048,
        "intermediate_size": [16_384] * 35,
        "num_hidden_layers": 35,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "vocab_size": 262_400,
        "sliding_window": 512,
        "num_kv_shared_layers": 15,
    }
    shape = shape_of(config)
    assert cache_counts(shape) == {"sliding 2 256 256 512": 16, "full 2 256 256": 4}
    assert [layer.type for layer in shape.layers[20:]] == ["none"] * 15
    assert "the last 15 of them share caches" in shape.family


def test_gemma_4_has_wider_heads_where_a_layer_sees_everything():
    config = {
        "model_type": "gemma4_text",
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "global_head_dim": 128,
        "num_global_key_value_heads": 1,
        "attention_k_eq_v": True,
        "hidden_size_per_layer_input": 0,
        "vocab_size": 512,
        "sliding_window": 32,
    }
    shape = shape_of(config)
    assert cache_counts(shape) == {"sliding 2 64 64 32": 5, "full 1 128 128": 1}
    keys = next(group for group in shape.weights if group.use is WeightUse.KV_PROJECTION)
    assert keys.parameters == 5 * 2 * 256 * 128 + 256 * 128
    assert keys.bytes == 2 * (keys.parameters + 256 * 128), "vLLM loads the keys' projection as the values', too"
