import pytest

from tests.fakes.configs import LLAMA, shape_of
from tuner.domain.model import ModelShape, WeightUse
from tuner.models.stored import Tensor, widest

SIZES = {"q_proj": (256, 256), "k_proj": (128, 256), "v_proj": (128, 256), "o_proj": (256, 256)}
MLP = {"gate_proj": (512, 256), "up_proj": (512, 256), "down_proj": (256, 512)}


def llama_tensors(*, layers: int = 4, dtype: str = "BF16") -> list[Tensor]:
    tensors = [Tensor("model.embed_tokens.weight", dtype, (512, 256)), Tensor("lm_head.weight", dtype, (512, 256))]
    for layer in range(layers):
        scope = f"model.layers.{layer}"
        tensors += [Tensor(f"{scope}.self_attn.{name}.weight", dtype, size) for name, size in SIZES.items()]
        tensors += [Tensor(f"{scope}.mlp.{name}.weight", dtype, size) for name, size in MLP.items()]
        tensors += [Tensor(f"{scope}.{name}.weight", dtype, (256,)) for name in ("input_layernorm", "post_layernorm")]
    return [*tensors, Tensor("model.norm.weight", dtype, (256,))]


def read(tensors: list[Tensor], **changed: object) -> ModelShape:
    return shape_of(LLAMA | changed, tensors=tensors)


def test_files_that_agree_change_nothing_but_are_measured():
    measured, computed = read(llama_tensors()), shape_of(LLAMA)
    assert measured.measured_weights
    assert not computed.measured_weights
    assert (measured.weights, measured.notes) == (computed.weights, ())


@pytest.mark.parametrize(
    "extra",
    [
        Tensor("model.layers.4.self_attn.q_proj.weight", "BF16", (256, 256)),
        Tensor("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", (32,)),
        Tensor("mtp.layers.0.mlp.up_proj.weight", "BF16", (512, 256)),
    ],
)
def test_what_vllm_does_not_load_is_left_aside(extra: Tensor):
    assert read([*llama_tensors(), extra]).parameters == shape_of(LLAMA).parameters


def test_a_head_in_the_files_of_a_tied_model_is_left_aside():
    tied = read(llama_tensors(), tie_word_embeddings=True)
    assert tied.weights == shape_of(LLAMA | {"tie_word_embeddings": True}).weights


def test_files_that_disagree_are_believed_and_it_is_said():
    shape = read([*llama_tensors(), Tensor("model.layers.0.extra.weight", "BF16", (1024, 1024))])
    assert shape.parameters == pytest.approx(shape_of(LLAMA).parameters + 1024 * 1024, abs=8)
    assert "the files are believed" in shape.notes[0]


def test_a_tower_in_the_files_is_counted_there():
    vision = {"hidden_size": 64, "num_hidden_layers": 2, "patch_size": 14, "image_size": 28}
    config = {"model_type": "newvl", "text_config": LLAMA, "vision_config": vision}
    tensors = [*llama_tensors(), Tensor("vision_tower.blocks.30.fc1.weight", "BF16", (1000, 64))]
    shape = shape_of(config, tensors=tensors)
    assert [group.parameters for group in shape.weights if group.use is WeightUse.ENCODER] == [64_000]


def test_a_compressed_checkpoint_is_weighed_by_its_bytes():
    packed = [Tensor(f"model.layers.{i}.mlp.up_proj.qweight", "I32", (1000, 1000)) for i in range(4)]
    shape = read(packed, quantization_config={"quant_method": "gptq", "bits": 4})
    assert sum(group.bytes for group in shape.weights) == pytest.approx(4 * 4_000_000, rel=1e-6)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [(["BF16"], "bfloat16"), (["F16", "I32"], "float16"), (["F32", "BF16"], "float32"), (["F16", "BF16"], "float32")],
)
def test_the_widest_dtype_counts(dtypes: list[str], expected: str):
    assert widest([Tensor("a", dtype, (1,)) for dtype in dtypes]) == expected


def test_without_floats_there_is_no_dtype():
    assert widest([Tensor("a", "I32", (1,))]) is None


def test_packed_elements_take_part_of_a_byte():
    assert Tensor("a", "F4", (3, 3)).bytes == 5
