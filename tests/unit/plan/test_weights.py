import pytest

from tests.fakes.shapes import full, make_device, make_model, make_weights
from tuner.domain.model import ModelShape, Weights, WeightUse
from tuner.domain.plan import Deployment
from tuner.plan.defaults import resolve
from tuner.plan.weights import kv_heads, padded_vocabulary, stage_weight_bytes


def stages(model: ModelShape, **settings: int) -> tuple[int, ...]:
    return stage_weight_bytes(model, resolve(model, make_device(), Deployment.model_validate(settings)))


def test_one_gpu_holds_every_byte_and_the_rotary_tables():
    model = make_model(table_bytes=1000)
    assert stages(model) == (2 * model.parameters + 1000,)


@pytest.mark.parametrize(
    ("use", "gpus", "expected"),
    [
        ("attention", 4, 250),
        ("mlp", 4, 250),
        ("experts", 4, 250),
        ("encoder", 4, 250),
        ("head", 4, 250),
        ("replicated", 4, 1000),
        ("kv_projection", 4, 250),
        ("kv_projection", 16, 125),
    ],
)
def test_tensor_parallel_splits_weights_by_what_they_are_for(use: str, gpus: int, expected: int):
    model = make_model(weights=make_weights(**{use: 500}))
    assert stages(model, tensor_parallel=gpus) == (expected,)


def test_pipeline_stages_take_their_layers_and_the_ends_their_vocabulary():
    weights = make_weights(embedding=7, attention=32, head=9)
    assert stages(make_model(weights=weights), pipeline_parallel=2) == (32 + 14, 32 + 18)


def test_a_tied_embedding_lies_on_both_ends_of_a_pipeline():
    weights = make_weights(embedding=7, attention=32)
    assert stages(make_model(weights=weights)) == (78,)
    assert stages(make_model(weights=weights), pipeline_parallel=2) == (32 + 14, 32 + 14)


def test_several_groups_of_one_use_add_up():
    group = Weights(use=WeightUse.MLP, parameters=5, bytes=10)
    assert stages(make_model(weights=(group, group))) == (20,)


def test_the_vocabulary_is_padded_to_64():
    assert [padded_vocabulary(make_model(vocabulary=size)) for size in (1, 64, 65, 128_256)] == [64, 64, 128, 128_256]


def test_the_most_kv_heads_of_any_layer_count():
    assert kv_heads(make_model((full(2), full(8)))) == 8
