import pytest

from tests.fakes.shapes import GIB, llama_70b, make_device, make_model, state
from tuner.domain.errors import InputError
from tuner.domain.model import NoCache
from tuner.domain.plan import Demand, Deployment
from tuner.plan.sizing import Sizing, size, splits


def sized(demand: Demand | None = None, **settings: object) -> Sizing:
    return size(make_model(), make_device(), Deployment.model_validate(settings), demand or Demand())


def test_heads_that_do_not_divide_are_refused_with_the_sizes_that_would_do():
    with pytest.raises(InputError, match="32 query heads") as caught:
        sized(tensor_parallel=3)
    assert caught.value.advice == "Possible are 1, 2, 4, 8, 16."


def test_more_stages_than_layers_are_refused():
    with pytest.raises(InputError, match="32 layers"):
        sized(pipeline_parallel=33)


def test_a_request_longer_than_allowed_is_refused_by_how_much():
    with pytest.raises(InputError, match=r"1,000 \+ 50 tokens of a request are 50 more"):
        sized(Demand(input_tokens=1000, output_tokens=50), max_model_len=1000)


@pytest.mark.parametrize(("gpus", "possible"), [(1, True), (3, False), (8, True), (16, True), (64, False)])
def test_kv_heads_divide_or_are_copied(gpus: int, possible: bool):
    assert splits(make_model(), gpus) is possible


def test_a_model_without_attention_splits_as_it_likes():
    assert splits(make_model((state(),) * 4, heads=1), 8)


def test_one_block_is_held_back():
    block = 16 * 131_072
    assert sized(kv_cache_memory_bytes=71 * block, max_model_len=800).max_sequences == 2
    assert sized(kv_cache_memory_bytes=70 * block, max_model_len=800).max_sequences == 1


def test_a_cache_that_holds_no_whole_request_does_not_fit():
    assert not sized(kv_cache_memory_bytes=GIB).fits
    assert sized(kv_cache_memory_bytes=GIB, max_model_len=4096).fits


def test_a_given_cache_must_fit_beside_the_weights():
    assert sized(kv_cache_memory_bytes=60 * GIB).fits
    assert not sized(kv_cache_memory_bytes=64 * GIB).fits


def test_weights_that_leave_nothing_do_not_fit():
    assert not size(llama_70b(), make_device(), Deployment(), Demand()).weights_fit


def test_a_model_that_keeps_nothing_is_never_full():
    model = make_model((NoCache(),) * 4)
    assert size(model, make_device(), Deployment(), Demand()).max_sequences > 100_000
