import pytest

from tests.fakes.configs import cache_counts, public_shape, tiny_shape
from tuner.domain.errors import InputError
from tuner.domain.model import StateSpace, WeightUse


def test_jamba_attends_in_every_eighth_layer():
    shape = public_shape("jamba-v0.1")
    assert [index for index, layer in enumerate(shape.layers) if layer.type == "full"] == [4, 12, 20, 28]
    assert shape.layers[0] == StateSpace(conv_elements=8192 * 3, state_elements=8192 * 16)


def test_falcon_h1_keeps_both_in_each_layer():
    shape = tiny_shape(
        model_type="falcon_h1", mamba_d_ssm=256, mamba_n_heads=4, mamba_d_state=16, mamba_n_groups=1, mamba_d_conv=4
    )
    assert cache_counts(shape) == {"full 2 64 64": 4, f"state {(256 + 32) * 3} {256 * 16}": 4}
    assert len(shape.layers) == 8


def test_nemotron_h_is_read_by_its_pattern():
    shape = public_shape("nemotron-h-8b")
    kinds = [layer.type for layer in shape.layers]
    assert (kinds.count("state"), kinds.count("full"), kinds.count("none")) == (24, 4, 24)
    states = {layer.state_bytes for layer in shape.layers if isinstance(layer, StateSpace)}
    assert states == {4}, "vLLM keeps its states in float32"


@pytest.mark.parametrize("pattern", ["M?*", "MM x"])
def test_a_pattern_of_other_marks_is_refused(pattern: str):
    with pytest.raises(InputError, match="hybrid_override_pattern"):
        public_shape("nemotron-h-8b", hybrid_override_pattern=pattern)


def test_a_missing_pattern_is_named():
    with pytest.raises(InputError, match="hybrid_override_pattern is missing"):
        public_shape("nemotron-h-8b", hybrid_override_pattern=None)


def test_qwen3_next_attends_in_every_fourth_layer():
    shape = public_shape("qwen3-next-80b-a3b")
    assert cache_counts(shape) == {"full 2 256 256": 12, f"state {8192 * 3} {32 * 128 * 128}": 36}


def test_granite_4_without_experts_is_dense():
    mamba = {"mamba_n_heads": 8, "mamba_d_state": 16, "mamba_n_groups": 1, "shared_intermediate_size": 640}
    types = ["mamba", "mamba", "attention", "mamba"]
    shape = tiny_shape(model_type="granitemoehybrid", num_local_experts=0, layer_types=types, **mamba)
    assert [layer.type for layer in shape.layers] == ["state", "state", "full", "state"]
    assert {group.use for group in shape.weights} >= {WeightUse.MLP}
    assert WeightUse.EXPERTS not in {group.use for group in shape.weights}
    assert shape.intermediate_size == 640


def test_zamba_shares_blocks_but_keeps_a_cache_for_each_layer():
    kinds = ["mamba", "hybrid", "mamba", "hybrid"]
    one = tiny_shape(model_type="zamba2", layers_block_type=kinds, num_mem_blocks=1, n_mamba_heads=8)
    two = tiny_shape(model_type="zamba2", layers_block_type=kinds, num_mem_blocks=2, n_mamba_heads=8)
    assert cache_counts(one) == cache_counts(two)
    assert [layer.type for layer in one.layers] == ["state", "full", "state", "state", "full", "state"]
    assert two.parameters > one.parameters
