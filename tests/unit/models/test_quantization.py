from typing import Any

import pytest

from tests.fakes.configs import public_shape, tiny_shape
from tuner.domain.model import ModelShape, WeightUse
from tuner.models.fields import Fields
from tuner.models.quantization import Scheme, matches, read_quantization

LINEAR = 8_030_261_248 - 2 * 128_256 * 4096 - 65 * 4096
"""Parameters of Llama-3.1-8B's linear layers, without the head."""
REST = 2 * (2 * 128_256 * 4096 + 65 * 4096)
"""Bytes of everything else."""


def size(shape: ModelShape) -> int:
    return sum(group.bytes for group in shape.weights)


@pytest.mark.parametrize(
    ("name", "linear"),
    [
        ("llama-3.1-8b", LINEAR * 2),
        ("llama-3.1-8b-awq", LINEAR // 2 + LINEAR // 128 * 2 + LINEAR // 128 // 2),
        ("llama-3.1-8b-gptq", LINEAR // 2 + LINEAR // 128 * 2),
        ("llama-3.1-8b-w4a16", LINEAR // 2 + LINEAR // 128 * 2),
        ("llama-3.1-8b-bnb4", LINEAR // 2 + LINEAR // 64 * 4),
        ("llama-3.1-8b-fp8", LINEAR + 32 * 7 * 4),
    ],
)
def test_bits_scales_and_zero_points_are_counted_and_the_rest_stays_at_the_dtype(name: str, linear: int):
    assert size(public_shape(name)) == linear + REST


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (Scheme(8, (0, 0), 4), 256 * 512 + 4),
        (Scheme(8, (1, 0), 4), 256 * 512 + 256 * 4),
        (Scheme(8, (128, 128), 4), 256 * 512 + 2 * 4 * 4),
        (Scheme(4, (1, 32), 1), 256 * 512 // 2 + 256 * 16),
        (Scheme(4, (1, 128), 2, zero_bits=4), 256 * 512 // 2 + 256 * 4 * 2 + 256 * 4 // 2),
    ],
)
def test_a_scheme_weighs_a_matrix(scheme: Scheme, expected: int):
    assert scheme.bytes(256, 512) == expected


def test_a_block_that_is_not_full_has_a_scale_of_its_own():
    assert Scheme(8, (128, 128), 4).bytes(129, 127) == 129 * 127 + 2 * 4


def test_deepseek_in_fp8_keeps_the_up_projection_dequantised_beside_it():
    fp8 = public_shape("deepseek-v3")
    up = 61 * 512 * 128 * (128 + 128)
    attention = next(group for group in fp8.weights if group.use is WeightUse.ATTENTION)
    assert attention.bytes == pytest.approx(attention.parameters + 2 * up, rel=1e-3)


def test_only_the_experts_of_gpt_oss_are_compressed():
    found = {group.use: group for group in public_shape("gpt-oss-20b").weights}
    assert found[WeightUse.ATTENTION].bytes == 2 * found[WeightUse.ATTENTION].parameters
    padded = 24 * 32 * 3 * 2944 * 3072
    assert found[WeightUse.EXPERTS].bytes == pytest.approx(padded * (0.5 + 1 / 32), rel=0.01)


@pytest.mark.parametrize(("reported", "tolerance"), [(13.72, 0.005), (13.47, 0.02)])
def test_gpt_oss_weighs_what_vllm_reports_on_an_a100_and_nearly_that_on_an_h100(reported: float, tolerance: float):
    shape = public_shape("gpt-oss-20b")
    assert (size(shape) + shape.table_bytes) / 2**30 == pytest.approx(reported, rel=tolerance)


def quantised(**config: Any) -> ModelShape:
    return tiny_shape(quantization_config=config)


def test_modules_that_are_not_converted_stay_as_they_are():
    whole = quantised(quant_method="fp8")
    without = quantised(quant_method="fp8", modules_to_not_convert=["lm_head", "self_attn"])
    attention = 4 * (2 * 256 * 256 + 2 * 256 * 128)
    assert size(without) - size(whole) == attention - 4 * 4 * 4


def test_a_head_is_compressed_where_the_configuration_says_so():
    head = next(group for group in quantised(quant_method="gptq", lm_head=True).weights if group.use is WeightUse.HEAD)
    assert head.bytes < head.parameters


def test_groups_of_compressed_tensors_have_targets():
    eight = {"targets": ["re:.*mlp.*"], "weights": {"num_bits": 8, "type": "int", "strategy": "channel"}}
    shape = quantised(quant_method="compressed-tensors", config_groups={"group_0": eight}, ignore=["lm_head"])
    found = {group.use: group for group in shape.weights}
    assert found[WeightUse.MLP].bytes == pytest.approx(found[WeightUse.MLP].parameters, rel=0.02)
    assert found[WeightUse.ATTENTION].bytes == 2 * found[WeightUse.ATTENTION].parameters


@pytest.mark.parametrize(
    ("config", "per_parameter"),
    [
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 1.0),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}}, 0.5 + 1 / 16),
        ({"quant_method": "fbgemm_fp8"}, 1.0),
        ({"load_in_8bit": True}, 1.0),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 1.0),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "zero_point": False}, 0.5 + 2 / 64),
    ],
)
def test_each_method_has_its_bytes(config: dict[str, Any], per_parameter: float):
    mlp = next(group for group in quantised(**config).weights if group.use is WeightUse.MLP)
    assert mlp.bytes / mlp.parameters == pytest.approx(per_parameter, rel=0.02)


def test_a_method_that_is_not_known_is_counted_in_full_and_said():
    shape = quantised(quant_method="newfangled")
    assert (shape.quantization, size(shape)) == ("newfangled", size(tiny_shape()))
    assert any("newfangled is not known here" in note for note in shape.notes)


def test_a_model_without_one_has_none():
    assert read_quantization(Fields({}, where="c")) is None
    assert tiny_shape().quantization is None


FP8 = {"num_bits": 8, "type": "float", "dynamic": False}


@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({"quant_method": "compressed-tensors", "config_groups": {}, "kv_cache_scheme": FP8}, "fp8"),
        ({"quant_method": "compressed-tensors", "config_groups": {}, "kv_cache_scheme": None}, None),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, "fp8_e4m3"),
        ({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "kv_cache_scheme": FP8}}, "fp8_e4m3"),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": None}}, None),
        ({"quant_method": "fp8", "kv_cache_scheme": FP8}, None),
    ],
)
def test_a_checkpoint_may_ask_for_a_smaller_cache(config: dict[str, Any], dtype: str | None):
    assert quantised(**config).kv_cache_dtype == dtype
    assert tiny_shape().kv_cache_dtype is None


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("lm_head", "lm_head", True),
        ("model.layers.1.mlp.gate", "model.layers.1.mlp.gate", True),
        ("model.layers.1.mlp.gate", "model.layers.1.mlp.gate_proj", False),
        ("model.layers.1", "model.layers.10.mlp.up_proj", False),
        ("model.layers.*.self_attn", "model.layers.7.self_attn.q_proj", True),
        ("language_model.model.layers.0.mlp", "model.layers.0.mlp.up_proj", True),
        ("re:.*down_proj", "model.layers.0.mlp.down_proj", True),
        ("re:[", "model.layers.0.mlp.down_proj", False),
        ("", "model.layers.0.mlp.down_proj", False),
    ],
)
def test_exceptions_mean_whole_segments_of_names(pattern: str, name: str, meant: bool):
    assert matches(pattern, name) is meant
