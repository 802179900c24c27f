"""A model, devices, flags and a demand put together."""

import pytest

from tests.fakes.plans import GIB, make_device, make_model
from tuner.domain.errors import InputError
from tuner.domain.flags import Flags
from tuner.domain.plan import Basis, Demand
from tuner.plan.memory import Corrections
from tuner.study.deployment import CPU_MEMORY_UTILIZATION
from tuner.study.plan import demand_from, plan_for

CPU = make_device(name="cpu", title="A CPU", vendor="cpu", capability=None, memory_bytes=16 * GIB, bandwidth=20e9)


def test_each_device_has_its_plan_in_order():
    small = make_device(name="small", memory_bytes=24 * GIB)
    plans = plan_for(make_model(), (small, make_device()), {}, Demand())
    assert [each.plan.device for each in plans] == ["small", "big"]
    assert plans[0].plan.kv_budget_bytes < plans[1].plan.kv_budget_bytes


def test_flags_act_on_the_plan():
    (half,) = plan_for(make_model(), (make_device(),), {"gpu-memory-utilization": 0.5}, Demand())
    (two,) = plan_for(make_model(), (make_device(),), {"tensor-parallel-size": 2}, Demand())
    assert half.plan.kv_budget_bytes < 40 * GIB
    assert two.plan.gpus == 2


def test_the_sum_of_the_memory_comes_out():
    (made,) = plan_for(make_model(), (make_device(),), {}, Demand())
    first, *between, last = made.plan.memory
    assert first.bytes - sum(item.bytes for item in between) == last.bytes == made.plan.kv_budget_bytes


@pytest.mark.parametrize(
    ("flags", "share"),
    [({}, CPU_MEMORY_UTILIZATION), ({"gpu-memory-utilization": 0.6}, 0.6), ({"kv-cache-memory-bytes": GIB}, 0.92)],
)
def test_a_cpu_gets_the_share_that_the_tuner_gives_it_unless_the_user_says(flags: Flags, share: float):
    (made,) = plan_for(make_model(), (CPU,), flags, Demand())
    assert made.deployment.gpu_memory_utilization == share


def test_what_launches_measured_takes_the_place_of_arithmetic():
    measured = Corrections(weights_bytes=5 * GIB)
    (made,) = plan_for(make_model(), (make_device(),), {}, Demand(), corrections={"big": measured})
    weights = next(item for item in made.plan.memory if item.name == "weights")
    assert (weights.bytes, weights.basis) == (5 * GIB, Basis.MEASURED)
    (other,) = plan_for(make_model(), (make_device(name="other"),), {}, Demand(), corrections={"big": measured})
    assert all(item.basis is not Basis.MEASURED for item in other.plan.memory)


def test_a_length_that_the_model_does_not_allow_is_refused_as_vllm_would():
    with pytest.raises(InputError, match="8,193 is more than the 8,192 tokens") as caught:
        plan_for(make_model(), (make_device(),), {"max-model-len": 8193}, Demand(), source="night.yaml")
    assert caught.value.where == "night.yaml"
    assert "8192" in caught.value.advice


def test_where_it_does_not_fit_other_devices_are_named():
    tiny = make_device(name="tiny", title="Vendor Tiny GPU", memory_bytes=2 * GIB)
    (made,) = plan_for(make_model(), (tiny,), {}, Demand(), alternatives=(tiny, make_device()))
    assert not made.plan.fits
    assert made.plan.problem
    assert any("big" in remedy for remedy in made.plan.remedies)


@pytest.mark.parametrize(("field", "option"), [("input_tokens", "--input-tokens"), ("rps", "--rps")])
@pytest.mark.parametrize("value", [0, -5, float("nan")])
def test_a_demand_that_cannot_be_is_refused_in_the_words_of_the_option(field: str, option: str, value: float):
    with pytest.raises(InputError, match=f"{option}: must be above 0"):
        demand_from(**{field: value})
