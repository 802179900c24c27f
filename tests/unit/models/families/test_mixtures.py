import pytest

from tests.fakes.configs import cache_counts, public_shape, tiny_shape
from tuner.domain.model import ModelShape, WeightUse

MOE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 128}


def parameters(shape: ModelShape, use: WeightUse) -> int:
    return sum(group.parameters for group in shape.weights if group.use is use)


@pytest.mark.parametrize(
    ("name", "active"),
    [("mixtral-8x7b", 12.7e9), ("qwen3-30b-a3b", 3.0e9), ("deepseek-v3", 36.6e9), ("gpt-oss-120b", 5.1e9)],
)
def test_active_parameters_are_near_those_advertised(name: str, active: float):
    assert public_shape(name).active_parameters == pytest.approx(active, rel=0.02)


def test_layers_named_or_skipped_are_dense():
    every = tiny_shape(model_type="qwen3_moe", **MOE)
    half = tiny_shape(model_type="qwen3_moe", decoder_sparse_step=2, **MOE)
    named = tiny_shape(model_type="qwen3_moe", mlp_only_layers=[0], **MOE)
    one = parameters(every, WeightUse.EXPERTS) // 4
    assert parameters(half, WeightUse.EXPERTS) == 2 * one
    assert parameters(named, WeightUse.EXPERTS) == 3 * one
    assert parameters(named, WeightUse.MLP) == 3 * 256 * 512


def test_shared_experts_are_visited_by_every_token():
    shape = tiny_shape(model_type="qwen2_moe", shared_expert_intermediate_size=320, **MOE)
    assert parameters(shape, WeightUse.MLP) == 4 * 3 * 256 * 320
    assert shape.intermediate_size == 2 * 128 + 320
    assert shape.family == "mixture of 8 experts, 2 active and shared, grouped-query attention"


def test_gpt_oss_has_a_window_in_every_other_layer():
    assert cache_counts(public_shape("gpt-oss-20b")) == {"sliding 8 64 64 128": 12, "full 8 64 64": 12}


def test_llama_4_sees_everything_in_every_fourth_layer():
    shape = public_shape("llama-4-scout")
    assert cache_counts(shape) == {"chunked 8 128 128 8192": 36, "full 8 128 128": 12}
    assert [layer.type for layer in shape.layers[:4]] == ["chunked", "chunked", "chunked", "full"]


def test_more_experts_active_than_there_are_read_everything():
    shape = tiny_shape(model_type="mixtral", num_local_experts=2, num_experts_per_tok=4)
    assert {group.read for group in shape.weights if group.use is WeightUse.EXPERTS} == {1.0}
