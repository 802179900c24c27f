import pytest

from tests.fakes.configs import cache_counts, public_shape, shape_of, tiny_shape
from tuner.domain.model import FullAttention, SlidingAttention, WeightUse


def test_the_three_arrangements_of_heads_are_told_apart():
    kinds = [tiny_shape(num_key_value_heads=heads).family for heads in (4, 2, 1)]
    assert kinds == ["dense, multi-head attention", "dense, grouped-query attention", "dense, multi-query attention"]


def test_heads_may_be_wider_than_the_hidden_size_divided():
    shape = tiny_shape(model_type="qwen3", head_dim=128)
    assert shape.layers[0] == FullAttention(kv_heads=2, head_dim=128, value_dim=128)


def test_mistral_with_a_window_keeps_a_window_in_each_layer():
    shape = public_shape("mistral-7b-v0.1")
    assert shape.layers == (SlidingAttention(kv_heads=8, head_dim=128, value_dim=128, window=4096),) * 32


def test_mistral_assumes_a_window_where_the_key_is_absent_and_none_where_it_is_null():
    assert tiny_shape(model_type="mistral").layers[0].type == "sliding"
    assert tiny_shape(model_type="mistral", sliding_window=None).layers[0].type == "full"


def test_qwen_has_a_window_only_where_it_is_used():
    assert tiny_shape(model_type="qwen2", sliding_window=64, use_sliding_window=False).layers[0].type == "full"


@pytest.mark.parametrize(("pattern", "full"), [(2, 2), (4, 1), ("LLLG", 1)])
def test_every_nth_layer_of_a_pattern_sees_everything(pattern: int | str, full: int):
    shape = tiny_shape(model_type="exaone4", sliding_window=64, sliding_window_pattern=pattern)
    assert [layer.type for layer in shape.layers].count("full") == full
    assert shape.layers[-1].type == "full"


def test_layer_types_decide_where_they_are_given():
    types = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    shape = tiny_shape(model_type="qwen3", layer_types=types, sliding_window=64, use_sliding_window=True)
    assert [layer.type for layer in shape.layers] == ["full", "sliding", "sliding", "full"]


def test_a_window_of_command_r_counts_the_token_itself():
    shape = tiny_shape(model_type="cohere2", sliding_window=64)
    assert cache_counts(shape) == {"sliding 2 64 64 65": 3, "full 2 64 64": 1}


def test_biases_are_counted_where_a_family_has_them():
    plain, biased = tiny_shape(model_type="llama"), tiny_shape(model_type="qwen2")
    assert biased.parameters - plain.parameters == 4 * (256 + 2 * 128)
    keys = next(group for group in biased.weights if group.use is WeightUse.KV_PROJECTION)
    assert keys.parameters == 4 * 2 * (256 * 128 + 128)


def test_chatglm_counts_its_groups():
    config = {
        "model_type": "chatglm",
        "num_layers": 40,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "kv_channels": 128,
        "multi_query_attention": True,
        "multi_query_group_num": 2,
        "ffn_hidden_size": 13_696,
        "padded_vocab_size": 151_552,
        "seq_length": 131_072,
        "add_qkv_bias": True,
        "add_bias_linear": False,
    }
    shape = shape_of(config)
    assert shape.parameters == 9_399_951_360
    assert cache_counts(shape) == {"full 2 128 128": 40}
    assert shape.max_length == 131_072
