"""Whole models: published totals, and what vLLM 0.32 itself allocates.

`vllm.json` holds what vLLM's own model classes have on the meta device: bytes of all parameters, dtype, longest
sequence, and what each layer keeps. `tests/vllm/test_models.py` asks the installed vLLM again.
"""

import pytest

from tests.fakes.configs import LLAMA, cache_counts, public_config, public_shape, recorded, shape_of, tiny_shape
from tuner.domain.errors import InputError
from tuner.domain.model import ModelShape, WeightUse

PUBLISHED = {
    "codestral-mamba-7b": 7_285_403_648,
    "command-r-v01": 34_980_831_232,
    "deepseek-v2-lite": 15_706_484_224,
    "deepseek-v3": 671_026_419_200,
    "falcon-7b": 6_921_720_704,
    "gemma-2-27b": 27_227_128_320,
    "gemma-2-9b": 9_241_705_984,
    "gemma-3-1b": 999_885_952,
    "gemma-3-27b": 27_432_406_640,
    "gpt-oss-120b": 116_829_156_672,
    "gpt-oss-20b": 20_914_757_184,
    "gpt2": 124_439_808,
    "jamba-v0.1": 51_570_323_328,
    "llama-2-7b": 6_738_415_616,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-8b-awq": 8_030_261_248,
    "llama-3.1-8b-fp8": 8_030_261_248,
    "llama-3.1-8b-gptq": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "llama-4-scout": 108_641_793_536,
    "mamba-2.8b": 2_768_345_600,
    "mistral-7b-v0.1": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "opt-125m": 125_239_296,
    "phi-2": 2_779_683_840,
    "phi-3-mini-4k": 3_821_079_552,
    "phi-4": 14_659_507_200,
    "qwen1.5-moe-a2.7b": 14_315_784_192,
    "qwen2-vl-7b": 8_291_375_616,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-72b": 72_706_203_648,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-32b": 32_762_123_264,
    "qwen3-8b": 8_190_735_360,
}
"""Parameters as the models' pages on the hub count them; without the layers for speculation that vLLM leaves aside."""

VLLM = recorded("vllm")


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_published(name: str):
    assert public_shape(name).parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", VLLM)
def test_vllm_allocates_what_was_computed(name: str):
    config = public_config(name.removesuffix(" unquantised"))
    if name.endswith(" unquantised"):
        config.pop("quantization_config")
    shape, found = shape_of(config), VLLM[name]
    assert sum(group.bytes for group in shape.weights) == pytest.approx(found["bytes"], rel=1e-4)
    assert (shape.dtype, shape.max_length) == (found["dtype"], found["max_length"])
    assert cache_counts(shape) == found["caches"]


def test_each_use_of_weights_is_told_apart():
    found = {group.use: (group.parameters, group.read) for group in public_shape("mixtral-8x7b").weights}
    hidden, layers, vocabulary = 4096, 32, 32_000
    assert found == {
        WeightUse.EMBEDDING: (vocabulary * hidden, 0),
        WeightUse.ATTENTION: (layers * 2 * hidden * hidden, 1),
        WeightUse.KV_PROJECTION: (layers * 2 * hidden * 1024, 1),
        WeightUse.EXPERTS: (layers * 8 * 3 * hidden * 14_336, 2 / 8),
        WeightUse.REPLICATED: (layers * (8 * hidden + 2 * hidden) + hidden, 1),
        WeightUse.HEAD: (vocabulary * hidden, 1),
    }


def test_a_tied_embedding_is_the_head_too_and_counted_once():
    tied, untied = tiny_shape(tie_word_embeddings=True), tiny_shape(tie_word_embeddings=False)
    assert untied.parameters - tied.parameters == 512 * 256
    assert tied.active_parameters == untied.active_parameters == tied.parameters


def test_families_tie_by_default_as_their_configurations_in_transformers_do():
    config = public_config("gemma-2-9b")
    assert "tie_word_embeddings" not in config
    assert WeightUse.HEAD not in {group.use for group in shape_of(config).weights}


def test_a_vocabulary_is_padded_in_memory_but_not_in_the_count():
    shape = tiny_shape(vocab_size=500)
    embedding = next(group for group in shape.weights if group.use is WeightUse.EMBEDDING)
    assert (embedding.parameters, embedding.bytes) == (500 * 256, 512 * 256 * 2)


def test_the_rotary_table_has_a_row_for_each_position():
    assert tiny_shape().table_bytes == 2048 * 64 * 2
    assert tiny_shape(partial_rotary_factor=0.5).table_bytes == 2048 * 32 * 2


def test_a_configuration_of_an_unknown_type_is_read_by_its_keys_and_says_so():
    shape = tiny_shape(model_type="brandnew", architectures=["BrandNewForCausalLM"])
    assert shape.parameters == tiny_shape().parameters
    assert shape.architecture == "BrandNewForCausalLM"
    assert any("brandnew is not known here" in note for note in shape.notes)


def test_an_unknown_mixture_counts_its_experts():
    shape = tiny_shape(model_type="brandnew", num_experts=8, num_experts_per_tok=2, moe_intermediate_size=128)
    experts = next(group for group in shape.weights if group.use is WeightUse.EXPERTS)
    assert (experts.parameters, experts.read) == (4 * 8 * 3 * 256 * 128, 0.25)


def test_what_is_missing_is_named_with_the_types_that_are_known():
    with pytest.raises(InputError) as caught:
        shape_of({"model_type": "brandnew", "hidden_size": 64})
    assert "num_hidden_layers, num_attention_heads, vocab_size is missing" in str(caught.value)
    assert "deepseek_v3" in caught.value.advice


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_known_type_without_a_size_is_refused_with_the_key(key: str):
    with pytest.raises(InputError, match=f"config.json: {key} is missing"):
        shape_of({name: value for name, value in LLAMA.items() if name != key})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"num_hidden_layers": -4}, "num_hidden_layers is -4, not a whole number of at least 1"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, not at most 10000"),
        ({"hidden_size": "big"}, 'hidden_size is "big", not a whole number'),
        ({"vocab_size": True}, "vocab_size is true, not a whole number"),
        ({"layer_types": ["full_attention"], "sliding_window": 4}, "not a list of 4"),
        ({"quantization_config": "gptq"}, 'quantization_config is "gptq", not an object'),
        ({"architectures": "Llama"}, 'architectures is "Llama", not a list'),
        ({"rope_scaling": {"rope_type": "linear", "factor": float("inf")}}, "factor is Infinity, not a number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(changed: dict[str, object], words: str):
    with pytest.raises(InputError) as caught:
        tiny_shape(**changed)
    assert words in str(caught.value)


def test_a_shape_survives_being_stored():
    shape = public_shape("jamba-v0.1")
    assert ModelShape.model_validate_json(shape.model_dump_json()) == shape
