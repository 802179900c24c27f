import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.shapes import GIB, llama_70b, make_device, make_model
from tuner.domain.plan import Demand, Deployment, Suggested
from tuner.domain.slo import make_slo
from tuner.plan.sizing import size
from tuner.plan.suggest import need, suggest_for, suggested


def values(demand: Demand, **settings: object) -> Suggested:
    sizing = size(make_model(), make_device(), Deployment.model_validate(settings), demand)
    found = suggested(sizing, sizing.speed(demand))
    assert found is not None
    return found


@given(st.floats(0.5, 40))
def test_seats_are_two_to_three_times_the_concurrency_that_the_target_needs(rate: float):
    demand = Demand(rps=rate)
    sizing = size(make_model(), make_device(), Deployment(), demand)
    wanted = need(sizing.speed(demand), rate, sizing.max_sequences)
    found = suggested(sizing, sizing.speed(demand))
    assert wanted.attainable
    assert found is not None
    assert 2 * wanted.sequences <= found.max_num_seqs.value <= max(3 * wanted.sequences, 2)


@given(st.floats(0.1, 1000))
def test_concurrency_follows_littles_law(rate: float):
    demand = Demand(rps=rate)
    sizing = size(make_model(), make_device(), Deployment(), demand)
    wanted = need(sizing.speed(demand), rate, sizing.max_sequences)
    if wanted.attainable:
        assert wanted.sequences == pytest.approx(rate * wanted.residence_s, rel=0.01)


def test_a_step_holds_the_seats_prompts():
    found = values(Demand(rps=10))
    assert found.max_num_batched_tokens.value == -(-found.max_num_seqs.value * 500 // 16) * 16
    assert "500 prompt tokens" in found.max_num_batched_tokens.why


def test_a_step_has_no_more_tokens_than_are_of_use():
    found = values(Demand(input_tokens=4000, rps=10))
    assert found.max_num_batched_tokens.value == 16_384


def test_a_step_has_at_least_a_token_for_each_seat():
    found = values(Demand(input_tokens=1, output_tokens=1000, rps=30))
    assert found.max_num_batched_tokens.value >= found.max_num_seqs.value


def test_a_step_is_no_longer_than_a_token_may_take():
    patient = values(Demand(rps=10, slos=(make_slo("tpot_p95", "50ms"),)))
    strict = values(Demand(rps=10, slos=(make_slo("tpot_p95", "25ms"),)))
    assert strict.max_num_batched_tokens.value < patient.max_num_batched_tokens.value
    assert strict.max_num_batched_tokens.value % 16 == 0


def test_no_more_seats_than_fit():
    few = values(Demand(rps=20), kv_cache_memory_bytes=8 * 1024 * 131_072, max_model_len=8000)
    assert few.max_num_seqs.value <= 14


def test_a_target_beyond_one_replica_is_said():
    found = values(Demand(rps=500))
    assert "not expected to keep up" in found.max_num_seqs.why


def test_nothing_is_suggested_without_a_target_or_a_fit():
    for demand, model in ((Demand(rps=None), make_model()), (Demand(), llama_70b())):
        sizing = size(model, make_device(), Deployment(), demand)
        assert suggested(sizing, sizing.speed(demand)) is None


def test_the_head_start_is_for_the_target_its_double_and_its_half():
    flags = suggest_for(make_model(), make_device(), Deployment(), Demand(rps=10))
    seats = [one["max-num-seqs"] for one in flags]
    assert len(flags) == 3
    assert seats == [seats[0], max(seats), min(seats)]
    assert set(flags[0]) == {"max-num-seqs", "max-num-batched-tokens"}


def test_the_head_start_does_not_repeat_itself():
    flags = suggest_for(make_model(), make_device(), Deployment(), Demand(rps=10), factors=(1, 1, 1))
    assert len(flags) == 1


def test_there_is_no_head_start_where_the_model_does_not_fit():
    assert suggest_for(llama_70b(), make_device(memory_bytes=24 * GIB), Deployment(), Demand()) == ()
