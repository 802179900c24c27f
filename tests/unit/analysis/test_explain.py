"""Explanations: when each holds, when it does not, in which words, on which figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.builders import make_distribution, make_point, make_spec, make_trial
from tuner.analysis.evidence import EngineFacts
from tuner.analysis.explain import explain, explain_trial
from tuner.analysis.explanation import Explanation, ExplanationKind
from tuner.domain.load import ClientHealth
from tuner.domain.measurement import LoadPoint, ServerFigures, SessionFigures
from tuner.domain.slo import Slo, parse_slo
from tuner.domain.telemetry import GpuFigures, MachineFigures, ProcessFigures

K = ExplanationKind
SLOS = (parse_slo("ttft_p95=500ms"), parse_slo("tpot_p95=50ms"))
FACTS = EngineFacts(max_num_seqs=64, max_num_batched_tokens=2048, slos=SLOS)
RUNS_WELL = {"running_mean": 20.0, "running_max": 30.0, "waiting_mean": 0.0, "waiting_max": 0.0}
FULL_QUEUE = {"running_mean": 63.0, "running_max": 64.0, "waiting_mean": 1.8, "waiting_max": 12.0}
"""At the builder's 2 requests/s: each waited 0.9 s."""


def point(
    server: Mapping[str, float | None] | None = None,
    *,
    gpus: tuple[dict[str, Any], ...] = (),
    processes: dict[str, float] | None = None,
    client: dict[str, float] | None = None,
    **summary: Any,
) -> LoadPoint:
    """A load point at 2 requests/s: TTFT p95 100 ms, TPOT p95 20 ms, unless told otherwise."""
    shares = {name: {"cpu_share_mean": share, "cpu_share_max": share} for name, share in (processes or {}).items()}
    machine = MachineFigures(
        samples=50,
        gpus=tuple(GpuFigures.model_validate({"index": index} | gpu) for index, gpu in enumerate(gpus)),
        processes=tuple(ProcessFigures.model_validate({"name": name} | share) for name, share in shares.items()),
    )
    health = ClientHealth.model_validate(
        {"cpu_s": 1.0, "cpu_share": 0.2, "lateness_p99": 0.001, "loop_lag_max": 0.002} | (client or {})
    )
    figures = ServerFigures.model_validate(RUNS_WELL if server is None else server)
    return make_point(**summary).model_copy(update={"server": figures, "machine": machine, "client": health})


def found(load_point: LoadPoint, facts: EngineFacts = FACTS) -> dict[ExplanationKind, Explanation]:
    return {explanation.kind: explanation for explanation in explain(load_point, facts)}


def test_an_easy_load_point_is_bound_by_nothing_and_says_what_is_known():
    (only,) = explain(point(), FACTS)
    assert only.kind is K.NOTHING_BINDS
    assert only.text == (
        "Every SLO is met: TTFT p95 uses 20 % of its limit (100 ms of 500 ms); TPOT p95 uses 40 % of its limit "
        "(20.0 ms of 50.0 ms); at most 30 of 64 requests ran at once; 0.0 waited on average."
    )


def test_a_client_that_judged_itself_invalid_comes_first():
    late = point(
        FULL_QUEUE, ttft=2.0, met=False, invalid=("sent 5 % of its requests late",), client={"cpu_share": 0.97}
    )
    first = explain(late, FACTS)[0]
    assert first.kind is K.CLIENT_BOUND
    assert "sent 5 % of its requests late" in first.text
    assert first.figures["client_cpu_share"] == 0.97


@pytest.mark.parametrize(("share", "bound"), [(0.89, False), (0.9, True)])
def test_a_client_without_cpu_left_is_the_bottleneck(share: float, *, bound: bool):
    assert (K.CLIENT_BOUND in found(point(client={"cpu_share": share}))) is bound


@pytest.mark.parametrize("reason", ["hw_thermal_slowdown", "sw_thermal_slowdown"])
def test_heat_is_named_with_the_gpu_its_temperature_and_its_clock(reason: str):
    cool = {"throttled": {"sw_power_cap": 0.01}}
    hot = {"throttled": {reason: 0.31}, "temperature_max_c": 91.0, "sm_clock_mean_mhz": 1410.0}
    told = found(point(gpus=(cool, hot)))[K.THERMALLY_THROTTLED]
    assert told.text == (
        "GPU 1 lowered its clocks against heat in 31 % of the samples at up to 91 °C, its SM clock 1410 MHz on average."
    )
    assert told.figures == {"throttled_share": 0.31, "temperature_max_c": 91.0, "sm_clock_mean_mhz": 1410.0}


def test_one_hot_sample_in_twenty_is_no_state():
    assert K.THERMALLY_THROTTLED not in found(point(gpus=({"throttled": {"hw_thermal_slowdown": 0.05}},)))


def test_a_power_limit_is_noted_and_explains_nothing_by_itself():
    explanations = explain(point(gpus=({"throttled": {"sw_power_cap": 0.8}, "power_mean_w": 698.0},)), FACTS)
    assert [explanation.kind for explanation in explanations] == [K.NOTHING_BINDS, K.POWER_CAPPED]
    assert "80 % of the samples at 698 W on average" in explanations[1].text


def test_preemptions_are_counted_against_requests_and_cost_seats_or_memory():
    told = found(point({**RUNS_WELL, "preemptions": 14.0, "kv_cache_usage_max": 0.998}))[K.PREEMPTING]
    assert "14 times, with 100 completed" in told.text
    assert told.figures["preemptions_per_request"] == 0.14
    assert told.advice.startswith("Lower max-num-seqs (now 64)")


@pytest.mark.parametrize("count", [0.0, None])
def test_without_preemptions_there_is_nothing_to_say_of_them(count: float | None):
    assert K.PREEMPTING not in found(point({**RUNS_WELL, "preemptions": count}))


def test_a_full_kv_cache_lets_requests_wait_though_seats_are_free():
    full = {
        "running_mean": 22.0,
        "running_max": 23.0,
        "waiting_mean": 5.2,
        "waiting_max": 9.0,
        "kv_cache_usage_max": 0.99,
    }
    told = found(point(full, ttft=0.9, met=False))
    assert told[K.KV_BOUND].text == (
        "The KV cache was full (99 % in use) with 23 of 64 seats taken, while 5.2 requests waited on average."
    )
    assert K.PREFILL_BOUND not in told


@pytest.mark.parametrize(
    "server",
    [
        {**RUNS_WELL, "kv_cache_usage_max": 0.99},
        {**FULL_QUEUE, "kv_cache_usage_max": 0.99},
        {**FULL_QUEUE, "running_max": 20.0, "kv_cache_usage_max": 0.9},
    ],
    ids=["nothing waits", "no seat is free", "not full"],
)
def test_a_kv_cache_binds_only_when_full_with_free_seats_and_requests_that_wait(server: dict[str, float]):
    assert K.KV_BOUND not in found(point(server))


def test_full_seats_and_a_queue_ask_for_more_seats_where_answers_have_room():
    told = found(point(FULL_QUEUE, ttft=2.0, met=False))
    assert told[K.QUEUE_BOUND].text == (
        "All 64 seats (max-num-seqs) were taken and 1.8 requests waited on average, about 900 ms each: "
        "75 % of the mean TTFT of 1.20 s."
    )
    assert told[K.QUEUE_BOUND].advice.startswith("Raise max-num-seqs (now 64): TPOT p95 uses 40 %")
    assert K.PREFILL_BOUND not in told


@pytest.mark.parametrize(
    ("server", "tpot", "advice"),
    [({}, 0.045, "Add a replica"), ({"kv_cache_usage_max": 0.97}, 0.02, "The KV cache is full as well")],
)
def test_more_seats_are_no_advice_where_answers_or_memory_have_no_room(
    server: dict[str, float], tpot: float, advice: str
):
    told = found(point({**FULL_QUEUE, **server}, ttft=2.0, tpot=tpot, met=False))
    assert told[K.QUEUE_BOUND].advice.startswith(advice)


def test_a_queue_whose_seats_are_unknown_is_told_as_far_as_it_is_known():
    told = found(point(FULL_QUEUE, ttft=2.0, met=False), FACTS.model_copy(update={"max_num_seqs": None}))
    assert told[K.QUEUE_BOUND].text.startswith("At most 64 requests ran and 1.8 requests waited")
    assert told[K.QUEUE_BOUND].advice.startswith("Raise max-num-seqs:")


def test_a_wait_of_a_step_is_no_queue():
    assert K.QUEUE_BOUND not in found(point({**FULL_QUEUE, "waiting_mean": 0.01}))


def test_waiting_time_is_by_littles_law_on_the_servers_own_rate_where_that_is_known():
    told = found(point({**FULL_QUEUE, "ttft_count": 250.0}, ttft=2.0, met=False))
    assert told[K.QUEUE_BOUND].figures["wait_s"] == pytest.approx(1.8 / (250 / 50))


API = {"vllm.entrypoints.openai.api_server": 0.97, "VLLM::EngineCore": 0.5}


def test_an_api_server_without_cpu_left_before_an_engine_that_waits_is_tokenisation():
    told = found(point(gpus=({"utilisation_mean": 0.41},), processes=API))[K.TOKENISATION_BOUND]
    assert told.text == (
        "The API server used 0.97 of a core while the GPU was busy 41 % of the time: "
        "tokenising prompts, detokenising and streaming answers held the engine back."
    )
    assert told.figures == {"api_server_cpu_share": 0.97, "gpu_utilisation": 0.41}


def test_on_a_cpu_engine_its_core_tells_whether_it_waits_and_a_worker_that_spins_does_not():
    told = found(point(processes={**API, "VLLM::Worker": 1.0}))[K.TOKENISATION_BOUND]
    assert "while EngineCore used 0.50 of a core" in told.text
    assert K.TOKENISATION_BOUND not in found(point(processes={**API, "VLLM::EngineCore": 1.4}))


@pytest.mark.parametrize(
    "machine",
    [
        {"gpus": ({"utilisation_mean": 0.9},), "processes": API},
        {"gpus": ({"utilisation_mean": 0.4},), "processes": {**API, "vllm.entrypoints.openai.api_server": 0.6}},
        {"gpus": ({"power_mean_w": 70.0},), "processes": API},
        {"processes": {"vllm.entrypoints.openai.api_server": 0.97}},
    ],
    ids=["GPU busy", "API server has room", "GPU unknown", "engine unknown"],
)
def test_tokenisation_is_not_claimed_without_both_halves(machine: dict[str, Any]):
    assert K.TOKENISATION_BOUND not in found(point(**machine))


def test_an_engine_process_without_cpu_left_before_a_gpu_with_gaps_holds_it_back():
    told = found(point(gpus=({"utilisation_mean": 0.52},), processes={"VLLM::EngineCore": 0.99}))
    assert (
        "used 0.99 of a core and the GPU was busy 52 % of the time, with 20.0 requests running"
        in told[K.HOST_BOUND].text
    )
    assert K.HOST_BOUND not in found(point(processes={"VLLM::EngineCore": 0.99}))


def test_ttft_near_its_limit_is_prefill():
    server = {**RUNS_WELL, "prompt_tokens": 9000.0, "generation_tokens": 1000.0}
    told = found(point(server, ttft=0.46))[K.PREFILL_BOUND]
    assert told.text == (
        "TTFT p95 uses 92 % of its limit (460 ms of 500 ms), TPOT p95 uses 40 % of its limit (20.0 ms of 50.0 ms): "
        "prefill sets the pace (90 % of the computed tokens belong to prompts)."
    )
    assert told.figures["ttft_p95_s"] == 0.46
    assert told.advice.startswith("Raise max-num-batched-tokens (now 2,048)")


def test_prompts_found_in_the_prefix_cache_are_not_computed():
    server = {**RUNS_WELL, "prompt_tokens": 9000.0, "generation_tokens": 1000.0, "prefix_cache_hit_rate": 2 / 3}
    told = found(point(server, ttft=0.46))[K.PREFILL_BOUND]
    assert told.figures["prompt_token_share"] == pytest.approx(0.75)


def test_a_larger_step_is_no_advice_where_answers_have_no_room():
    assert found(point(ttft=0.49, tpot=0.045))[K.PREFILL_BOUND].advice.startswith("Add a replica or shorten prompts")


def test_waiting_with_free_seats_and_free_memory_is_for_room_in_a_step():
    told = found(point({**FULL_QUEUE, "running_max": 30.0}, ttft=2.0, met=False))
    assert "requests waited 900 ms for room in a step" in told[K.PREFILL_BOUND].text
    assert K.QUEUE_BOUND not in told


def test_tpot_near_its_limit_is_decode():
    told = found(point(tpot=0.046, gpus=({"utilisation_mean": 0.97},)))[K.DECODE_BOUND]
    assert told.text == (
        "TPOT p95 uses 92 % of its limit (46.0 ms of 50.0 ms), TTFT p95 uses 20 % of its limit (100 ms of 500 ms): "
        "decode steps set the pace (up to 30 requests share one, the GPU was busy 97 % of the time)."
    )
    assert told.advice.startswith("Lower max-num-seqs (now 64) below 30")


def test_uneven_gaps_between_tokens_are_prompts_in_the_same_step():
    uneven = make_distribution(0.2, 3000).model_copy(update={"p50": 0.02})
    told = found(point(tpot=0.046, itl=uneven))[K.DECODE_BOUND]
    assert "10.0 times the median or longer: prompts in the same step" in told.text
    assert told.advice.startswith("Lower max-num-batched-tokens (now 2,048)")
    lumped = found(point(tpot=0.046, itl=uneven, tokens_per_event=4.0))[K.DECODE_BOUND]
    assert "itl_p95_over_p50" not in lumped.figures


@pytest.mark.parametrize(
    ("ttft_mean", "kind"), [(1.2, K.PREFILL_BOUND), (0.3, K.DECODE_BOUND)], ids=["late first token", "long answer"]
)
def test_end_to_end_latency_belongs_to_the_phase_that_takes_more_of_it(ttft_mean: float, kind: ExplanationKind):
    facts = FACTS.model_copy(update={"slos": (parse_slo("e2e_p95=3s"),)})
    ttft = make_distribution(0.5).model_copy(update={"mean": ttft_mean})
    e2e = make_distribution(2.5).model_copy(update={"mean": 1.5})
    load_point = point()
    summary = load_point.summary.model_copy(update={"ttft": ttft, "e2e": e2e})
    assert kind in found(load_point.model_copy(update={"summary": summary}), facts)


def test_a_growing_queue_names_its_phase_below_half_of_a_limit_too():
    assert K.PREFILL_BOUND in found(point(ttft=0.24, queue_growing=True, met=False))
    assert K.PREFILL_BOUND not in found(point(ttft=0.24))


def test_a_percentile_that_the_sample_does_not_support_says_nothing():
    facts = FACTS.model_copy(update={"slos": (parse_slo("ttft_p99=1ms"),)})
    assert [explanation.kind for explanation in explain(point(), facts)] == [K.NOTHING_BINDS]


FEW = {"running_mean": 6.0, "running_max": 10.0, "waiting_mean": 0.0, "waiting_max": 0.0}
DEFAULTS = FACTS.model_copy(update={"max_num_seqs": 256})


def test_defaults_too_large_for_the_load_are_a_nearly_empty_bus():
    told = found(point(FEW, gpus=({"utilisation_mean": 0.31}, {"utilisation_mean": 0.0})), DEFAULTS)[K.STARVED]
    assert told.text == (
        "At most 10 of 256 seats (max-num-seqs) were taken and nothing waited, and the GPU was busy 31 % of the time: "
        "a bus of 256 seats that carries 10."
    )
    assert told.advice.startswith("Lower max-num-seqs to two or three times the peak (20 to 30)")
    assert told.figures == {"running_max": 10, "max_num_seqs": 256, "gpu_utilisation": 0.31}


@pytest.mark.parametrize(
    "change",
    [
        {"server": {**FEW, "running_max": 65.0}},
        {"server": {**FEW, "waiting_max": 1.0}},
        {"gpus": ({"utilisation_mean": 0.8},)},
        {"processes": {"VLLM::EngineCore": 1.0}},
        {"met": False},
    ],
    ids=["a quarter of the seats", "a queue", "a busy GPU", "a busy CPU engine", "SLOs broken"],
)
def test_a_server_is_not_starved_that_is_busy_full_or_late(change: dict[str, Any]):
    changed: dict[str, Any] = {"server": FEW} | change
    assert K.STARVED not in found(point(**changed), DEFAULTS)


@pytest.mark.parametrize("facts", [EngineFacts(slos=SLOS), DEFAULTS])
def test_starving_is_not_claimed_where_seats_or_runners_are_unknown(facts: EngineFacts):
    server = FEW if facts.max_num_seqs is None else {"waiting_mean": 0.0}
    assert K.STARVED not in found(point(server), facts)


def test_users_of_several_calls_leave_the_engine_idle_between_them():
    sessions = SessionFigures(
        completed=50, failed=0, duration=make_distribution(2.0), calls_mean=3.0, idle_share=0.3, idle_share_one_user=0.6
    )
    told = found(point(sessions=sessions))[K.IDLE_BETWEEN_CALLS]
    assert told.text == (
        "In 30 % of the time no call was in flight, because users do other work between their 3.0 calls; "
        "a single user leaves 60 %."
    )
    busy = sessions.model_copy(update={"idle_share": 0.05})
    assert K.IDLE_BETWEEN_CALLS not in found(point(sessions=busy))


def test_a_broken_slo_without_a_known_cause_is_not_called_nothing():
    (only,) = explain(point({}, met=False), EngineFacts())
    assert only.kind is K.UNEXPLAINED
    assert only.text == "ttft_p95 900 ms > 500 ms, and nothing that was read says why."


def test_several_explanations_stand_in_the_order_of_importance():
    busy = point(
        {**FULL_QUEUE, "preemptions": 3.0},
        tpot=0.06,
        met=False,
        gpus=({"throttled": {"hw_thermal_slowdown": 0.5, "sw_power_cap": 0.5}},),
    )
    kinds = [explanation.kind for explanation in explain(busy, FACTS)]
    assert kinds == [K.THERMALLY_THROTTLED, K.PREEMPTING, K.QUEUE_BOUND, K.DECODE_BOUND, K.POWER_CAPPED]
    assert kinds == sorted(kinds, key=list(K).index)


def test_every_explanation_rests_on_figures():
    busy = point({**FULL_QUEUE, "preemptions": 3.0}, tpot=0.06, met=False, invalid=("late",))
    assert all(explanation.figures for explanation in explain(busy, FACTS))


GAUGE = st.none() | st.floats(min_value=0, max_value=1e6)
SHARE = st.none() | st.floats(min_value=0, max_value=1)


@given(
    server=st.builds(
        ServerFigures,
        **dict.fromkeys(("running_mean", "running_max", "waiting_mean", "waiting_max", "preemptions"), GAUGE),
        **dict.fromkeys(("prompt_tokens", "generation_tokens", "ttft_count"), GAUGE),
        **dict.fromkeys(("kv_cache_usage_max", "prefix_cache_hit_rate"), SHARE),
    ),
    utilisations=st.lists(SHARE, max_size=2),
    processes=st.dictionaries(st.sampled_from(list(API)), st.floats(min_value=0, max_value=64)),
    latency=st.floats(min_value=0, max_value=100),
    rate=st.floats(min_value=0, max_value=100),
    seats=st.none() | st.integers(min_value=1, max_value=1024),
    slos=st.sampled_from([(), SLOS, (parse_slo("e2e_p95=3s"),)]),
    met=st.booleans(),
    growing=st.booleans(),
)
def test_whatever_is_known_or_not_there_is_an_explanation_in_words(
    server: ServerFigures,
    utilisations: list[float | None],
    processes: dict[str, float],
    latency: float,
    rate: float,
    seats: int | None,
    slos: tuple[Slo, ...],
    *,
    met: bool,
    growing: bool,
):
    gpus = tuple({"utilisation_mean": share} for share in utilisations)
    load_point = point(
        server.model_dump(), gpus=gpus, processes=processes, ttft=latency, tpot=latency / 10, met=met,
        queue_growing=growing, achieved_rps=rate, completed=0,
    )  # fmt: skip
    told = explain(load_point, EngineFacts(max_num_seqs=seats, slos=slos))
    assert told
    for explanation in told:
        assert explanation.text.endswith(".")
        assert "None" not in explanation.text + explanation.advice
        assert "nan" not in explanation.text


def test_a_trial_is_explained_at_its_target_and_where_it_broke():
    points = (
        make_point(2.0),
        make_point(8.0, index=1, ttft=0.9, met=False),
        make_point(4.0, index=2, ttft=0.6, met=False),
    )
    explained = explain_trial(make_trial(points=points), make_spec())
    assert [(one.why, one.index, one.load) for one in explained] == [("target", 0, "2 req/s"), ("broke", 2, "4 req/s")]
    assert explained[1].explanations[0].kind is K.PREFILL_BOUND


def test_a_target_that_broke_is_explained_once():
    explained = explain_trial(make_trial(points=(make_point(2.0, ttft=0.9, met=False),)), make_spec())
    assert [one.why for one in explained] == ["target"]


def test_a_trial_without_load_points_has_no_explanation():
    assert explain_trial(make_trial(), make_spec()) == ()


@pytest.mark.parametrize(
    ("resolved", "flags", "seats"), [({"max-num-seqs": 128}, {}, "128"), ({}, {"max-num-seqs": 32}, "32")]
)
def test_settings_are_those_that_vllm_resolved_else_the_flags(
    resolved: dict[str, int], flags: dict[str, int], seats: str
):
    load_point = point(FEW)
    trial = make_trial(points=(load_point,), resolved=resolved, flags=flags)
    (explained,) = explain_trial(trial, make_spec())
    assert f"of {seats}" in explained.explanations[0].text


def test_every_kind_stands_in_the_documentation_in_the_order_of_importance():
    text = (Path(__file__).parents[3] / "docs" / "explanations.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]
    assert rows == [f"`{kind}`" for kind in K]
