import pytest

from tests.fakes.configs import cache_counts, shape_of
from tuner.domain.errors import InputError
from tuner.models.mistral import from_mistral

PARAMS = {
    "dim": 4096,
    "n_layers": 32,
    "head_dim": 128,
    "hidden_dim": 14_336,
    "n_heads": 32,
    "n_kv_heads": 8,
    "norm_eps": 1e-05,
    "vocab_size": 32_000,
}


def test_params_json_is_read_like_config_json():
    shape = shape_of(dict(from_mistral(PARAMS | {"sliding_window": 4096}, where="params.json")))
    assert shape.parameters == 7_241_732_096
    assert cache_counts(shape) == {"sliding 8 128 128 4096": 32}
    assert shape.dtype == "bfloat16"


def test_without_a_window_every_layer_sees_everything():
    assert cache_counts(shape_of(dict(from_mistral(PARAMS, where="params.json")))) == {"full 8 128 128": 32}


def test_a_mixture_is_one():
    moe = PARAMS | {"moe": {"num_experts": 8, "num_experts_per_tok": 2}}
    assert shape_of(dict(from_mistral(moe, where="params.json"))).parameters == 46_702_792_704


def test_a_mixture_without_a_count_is_refused():
    with pytest.raises(InputError, match=r"params.json, moe: num_experts is missing"):
        from_mistral(PARAMS | {"moe": {"num_experts_per_tok": 2}}, where="params.json")
