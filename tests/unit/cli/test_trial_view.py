"""One trial, as `tuner show` prints it."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from tests.fakes.builders import make_point, make_study, make_trial
from tuner.cli.records import trial_record
from tuner.cli.trial_view import print_trial
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.load import ClientHealth
from tuner.domain.measurement import LoadPoint, Reconciliation, ServerFigures
from tuner.domain.telemetry import GpuFigures, MachineFigures, ProcessFigures
from tuner.domain.trial import STARTUP, Launch, Trial, TrialState

GPU = GpuFigures(
    index=1,
    utilisation_mean=0.97,
    memory_utilisation_mean=0.61,
    memory_used_max_bytes=70 * 2**30,
    power_mean_w=698.4,
    energy_j=41904.0,
    sm_clock_mean_mhz=1740.0,
    sm_clock_min_mhz=1410.0,
    temperature_max_c=83.0,
    throttled={"sw_power_cap": 0.42},
)
PROCESSES = tuple(
    ProcessFigures(name=name, cpu_share_mean=share, cpu_share_max=1.0)
    for name, share in (("VLLM::EngineCore", 0.98), ("vllm.entrypoints.cli.main", 0.31), ("third", 0.1), ("idle", 0.0))
)
MACHINE = MachineFigures(samples=50, cpu_share_mean=0.37, memory_available_min_bytes=12 * 2**30, processes=PROCESSES)
QUEUE = ServerFigures(running_mean=3.9, running_max=4, waiting_mean=1.8, waiting_max=9)


def loaded(**changes: Any) -> LoadPoint:
    summary = {name: changes.pop(name) for name in ("invalid", "given_up", "met", "ttft") if name in changes}
    return make_point(2.0, **summary).model_copy(update={"machine": MACHINE, **changes})


def shown(trial: Trial) -> str:
    text = io.StringIO()
    print_trial(Console(file=text, width=160), make_study(), trial)
    return text.getvalue()


def row(text: str, heading: str) -> str:
    """Return the first row below a table's heading."""
    lines = text.splitlines()
    return lines[next(place for place, line in enumerate(lines) if heading in line) + 2]


def test_the_machine_is_shown_with_its_busiest_processes():
    told = row(shown(make_trial(points=(loaded(),))), "machine: CPU")
    processes = "VLLM::EngineCore 0.98, vllm.entrypoints.cli.main 0.31, third 0.10"
    assert " ".join(told.split()) == f"2 req/s 37% 12.0 GiB {processes}"


def test_each_gpu_has_a_row_with_what_held_it_back():
    machine = MACHINE.model_copy(update={"gpus": (GpuFigures(index=0), GPU)})
    text = shown(make_trial(points=(loaded(machine=machine),)))
    told = " ".join(text.split())
    assert "2 req/s 1 97% 61% 70.0 GiB 698 W 41904 J 1740 MHz 1410 MHz 83 °C sw_power_cap 42%" in told
    assert "2 req/s 0 – – – – – – – – –" in told


def test_without_a_gpu_there_is_no_table_of_gpus():
    assert "held back by" not in shown(make_trial(points=(loaded(),)))


def test_a_load_point_of_an_older_file_has_no_machine_and_no_empty_table():
    assert "machine: CPU" not in shown(make_trial(points=(make_point(),)))


def test_the_client_is_shown_with_its_events_per_read_and_its_lag():
    client = ClientHealth(
        cpu_s=9.0, cpu_share=0.18, lateness_p99=0.0013, loop_lag_mean=0.0004, loop_lag_p99=0.002, loop_lag_max=0.009,
        reads=100, events=125,
    )  # fmt: skip
    told = row(shown(make_trial(points=(loaded(client=client),))), "client: CPU")
    assert " ".join(told.split()) == "2 req/s 18% 1.3 ms 0.4 ms 2.0 ms 1.25 1.00 valid"


def test_figures_that_are_the_clients_are_marked_and_the_reason_is_told():
    text = shown(make_trial(points=(loaded(invalid=("sent 5 % of its requests late",)),)))
    assert row(text, "client: CPU").split()[-1] == "invalid"
    assert "2 req/s: invalid: sent 5 % of its requests late" in text
    assert "client bound: The load generator, not the server" in text


def test_what_client_and_server_disagree_on_is_told():
    agreed = Reconciliation(client_requests=100, client_prompt_tokens=1, client_output_tokens=1)
    assert "disagree" not in shown(make_trial(points=(loaded(reconciliation=agreed),)))
    apart = agreed.model_copy(update={"mismatches": ("output tokens: 3,200 here, 3,168 there",)})
    text = shown(make_trial(points=(loaded(reconciliation=apart),)))
    assert "2 req/s: client and server disagree: output tokens: 3,200 here, 3,168 there" in text


def test_a_load_point_that_ended_early_says_so():
    assert "2 req/s: ended early: hopeless" in shown(make_trial(points=(loaded(given_up="hopeless"),)))


def test_a_trial_is_explained_in_words_with_advice():
    trial = make_trial(points=(loaded(server=QUEUE, ttft=2.0, met=False),), resolved={"max-num-seqs": 4})
    text = " ".join(shown(trial).split())
    assert (
        "Why it is so at 2 req/s, the load point of the target rate: queue bound: "
        "All 4 seats (max-num-seqs) were taken and 1.8 requests waited on average, about 900 ms each: "
        "75 % of the mean TTFT of 1.20 s. Raise max-num-seqs (now 4)."
    ) in text


def test_json_has_the_same_explanations():
    trial = make_trial(points=(loaded(server=QUEUE, ttft=2.0, met=False),), resolved={"max-num-seqs": 4})
    (explained,) = trial_record(make_study(), trial)["explanations"]
    assert (explained["why"], explained["load"], explained["index"]) == ("target", "2 req/s", 0)
    assert [told["kind"] for told in explained["explanations"]] == ["queue_bound"]
    assert explained["explanations"][0]["figures"]["max_num_seqs"] == 4


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.INFEASIBLE])
def test_a_trial_without_load_points_says_why_and_explains_nothing(state: TrialState):
    failure = Failure(kind=FailureKind.OOM_START, evidence="CUDA out of memory", advice="Lower it.")
    text = shown(make_trial(state=state, failure=failure))
    assert "why: CUDA out of memory" in text
    assert "Why it is so" not in text
    assert "vllm serve m/tiny" in text


def test_the_phases_of_a_start_stand_beside_its_time():
    launch = Launch(
        id=1,
        trial_id=1,
        attempt=1,
        argv=("python",),
        log_path="log",
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        ready_after=41.0,
        resolved={"dtype": "bfloat16", STARTUP: {"imports": 33.5, "serving": 1.5}},
    )
    told = shown(make_trial().model_copy(update={"launches": (launch,)}))

    assert "ready after 41 s (imports 34 s, serving 2 s)" in " ".join(told.split())
    assert STARTUP not in told
