"""What launches teach the sum: on launches whose truth is known, and on real ones."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.fakes.shapes import GIB, cpu, full, make_device, make_model
from tuner.domain.device import Device
from tuner.domain.model import Weights, WeightUse
from tuner.domain.plan import Demand, Deployment
from tuner.plan.calibration import Report, calibrate, report
from tuner.plan.defaults import resolve
from tuner.plan.kv import cache_layout
from tuner.plan.memory import Corrections
from tuner.plan.planner import make_plan
from tuner.plan.weights import stage_weight_bytes

MODEL = make_model(weights=(Weights(use=WeightUse.MLP, parameters=10**9, bytes=2 * 10**9),))
"""Small enough for a CPU too."""
GPU = make_device()
DEMAND = Demand(input_tokens=100, output_tokens=20, rps=None)
REST, TOKEN = int(1.7 * GIB), 150_000
"""The truth: bytes outside of torch, and activations of a token."""


def a_cpu(memory_bytes: int) -> Device:
    return cpu().model_copy(update={"memory_bytes": memory_bytes})


def deployment(share: float = 0.9, batched: int = 8192, **changes: Any) -> Deployment:
    values = {"gpu_memory_utilization": share, "max_num_batched_tokens": batched, "max_num_seqs": 64}
    return Deployment.model_validate({**values, "max_model_len": 2048, **changes})


def launched(given: Deployment, device: Device = GPU, *, wrong_layout: float = 1.0, **said: float) -> Report:
    """What a launch logs when the truth is as above."""
    engine = resolve(MODEL, device, given)
    batched = engine.limits.max_num_batched_tokens
    weights = max(stage_weight_bytes(MODEL, engine))
    left = device.memory_bytes * given.gpu_memory_utilization - weights - REST - TOKEN * batched
    kept = given.kv_cache_memory_bytes or int(left)
    layout = cache_layout(MODEL, engine)
    tokens = int(layout.tokens(layout.blocks([kept])) * wrong_layout)
    return Report(deployment=given, kv_tokens=tokens, kv_gib=round(kept / GIB, 2), **said)


def error(reports: Sequence[Report], new: Report, device: Device = GPU) -> float:
    """How far the plan of a new configuration is off, relative, after some launches."""
    found = calibrate(MODEL, device, reports)
    plan = make_plan(MODEL, found.device, new.deployment, DEMAND, found.corrections)
    return abs(plan.kv_tokens / new.kv_tokens - 1)


NEW = [deployment(0.7, 2048), deployment(0.5, 16384), deployment(0.95, 512), deployment(0.9, 8192, max_model_len=512)]


@pytest.mark.parametrize("new", NEW)
def test_after_two_launches_a_new_configuration_is_planned_within_two_percent(new: Deployment):
    seen = [launched(deployment(0.9, 8192)), launched(deployment(0.8, 2048))]
    assert error(seen, launched(new)) < 0.02


def test_one_launch_corrects_what_it_can():
    new = launched(deployment(0.85, 8192))
    assert error([launched(deployment())], new) < error([], new)


def test_without_launches_nothing_is_corrected():
    found = calibrate(MODEL, GPU, [])
    assert (found.device, found.corrections, found.launches) == (GPU, Corrections(), 0)


def test_a_total_that_vllm_sees_and_the_machine_hides_is_found_by_two_shares():
    """A container that gets less than its node has: the CPU's memory is only roughly known."""
    truth, believed = a_cpu(20 * GIB), a_cpu(23 * GIB)
    seen = [launched(deployment(0.5, 2048), truth), launched(deployment(0.8, 2048), truth)]
    found = calibrate(MODEL, believed, seen)
    assert found.device.memory_bytes == pytest.approx(20 * GIB, rel=0.01)
    assert error(seen, launched(deployment(0.65, 1024), truth), believed) < 0.02


def test_a_logged_total_needs_no_second_share():
    truth, believed = a_cpu(20 * GIB), a_cpu(23 * GIB)
    seen = [launched(deployment(0.8, 2048), truth, total_gib=20.0)]
    assert error(seen, launched(deployment(0.5, 2048), truth), believed) < 0.02


def test_logged_weights_take_the_place_of_computed_ones():
    found = calibrate(MODEL, GPU, [launched(deployment(), weights_gib=2.5)])
    assert found.corrections.weights_bytes == int(2.5 * GIB)


def test_a_layout_that_is_not_vllms_is_corrected_by_what_a_given_number_of_bytes_held():
    seen = [launched(deployment(share), wrong_layout=0.8) for share in (0.9, 0.8)]
    found = calibrate(MODEL, GPU, seen)
    assert found.corrections.kv_tokens_ratio == pytest.approx(0.8, rel=0.01)
    assert error(seen, launched(deployment(0.6, 4096), wrong_layout=0.8)) < 0.02


def test_a_cache_of_given_bytes_says_nothing_about_the_rest():
    given = launched(deployment(kv_cache_memory_bytes=4 * GIB))
    found = calibrate(MODEL, GPU, [given])
    assert (found.corrections.fixed_bytes, found.corrections.activation_bytes_per_batched_token) == (None, None)


def test_doubt_shrinks_with_launches_and_grows_with_the_distance_from_them():
    seen = [launched(deployment(0.9, 8192)), launched(deployment(0.8, 2048))]
    before, one, two = (calibrate(MODEL, GPU, seen[:count]) for count in range(3))
    near, far = deployment(0.85, 4096), deployment(0.3, 60_000)
    assert before.doubt_bytes(MODEL, near) > one.doubt_bytes(MODEL, near) > two.doubt_bytes(MODEL, near)
    assert two.doubt_bytes(MODEL, far) > 3 * two.doubt_bytes(MODEL, near)


def test_a_launch_that_logged_no_cache_says_nothing():
    assert report(deployment(), {"weights_gib": 2.0}) is None
    said = report(deployment(), {"kv_cache_tokens": 4096, "kv_cache_gib": 0.5, "device_memory_gib": 79.2})
    assert said is not None
    assert (said.kv_tokens, said.kv_gib, said.weights_gib, said.total_gib) == (4096, 0.5, None, 79.2)


REAL = (
    (0.3, 2048, 128, 2400851, 5.47),
    (0.4, 223, 57, 3283428, 7.48),
    (0.4, 83, 8, 3283536, 7.48),
    (0.2, 1514, 5, 1519131, 3.46),
    (0.2, 66, 1, 1519345, 3.46),
    (0.25, 831, 60, 1959937, 4.46),
    (0.35, 1237, 1, 2841979, 6.47),
    (0.1, 362, 1, 637304, 1.45),
)
"""Share, tokens of a step, sequences, logged tokens and GiB: eight launches of vLLM 0.32 on a CPU, in results.db."""
TINY = make_model(
    layers=(full(kv_heads=2, head_dim=64),) * 4,
    weights=(Weights(use=WeightUse.MLP, parameters=3_000_000, bytes=6_000_000),),
    heads=4,
    hidden_size=256,
    intermediate_size=688,
    vocabulary=512,
)


def real(row: tuple[float, int, int, int, float]) -> Report:
    share, batched, seqs, tokens, gib = row
    given = deployment(share, batched, max_num_seqs=seqs, max_model_len=536, enforce_eager=True)
    return Report(deployment=given, kv_tokens=tokens, kv_gib=gib)


@pytest.mark.parametrize("row", REAL[2:], ids=str)
def test_the_first_two_launches_of_a_real_study_predict_the_others_within_two_percent(
    row: tuple[float, int, int, int, float],
):
    new = real(row)
    found = calibrate(TINY, a_cpu(25_276_502_016), [real(one) for one in REAL[:2]])
    plan = make_plan(TINY, found.device, new.deployment, DEMAND, found.corrections)
    assert plan.kv_tokens == pytest.approx(new.kv_tokens, rel=0.02)
