"""What the options of `tuner bench` mean, and which of them don't go together."""

import pytest

from tuner.cli.bench_options import ArrivalKind, api_key, arrivals_from, check_count, seconds_from, workload_from
from tuner.domain.arrivals import ClosedLoop, ConstantArrivals, GammaArrivals, PoissonArrivals, TraceArrivals
from tuner.domain.endpoint import Endpoint
from tuner.domain.errors import InputError
from tuner.domain.workload import Trace, TraceFormat, Workload

PLAIN = Workload()
TRACE = Workload(trace=Trace(file="trace.csv", format=TraceFormat.AZURE, seconds=60.0))
UNTIMED = Workload(trace=Trace(file="chats.json", format=TraceFormat.SHAREGPT))


def test_each_way_to_arrive():
    assert arrivals_from(8, None, None, None, PLAIN) == ClosedLoop(concurrency=8)
    assert arrivals_from(None, 4.0, None, None, PLAIN) == PoissonArrivals(rate=4.0)
    assert arrivals_from(None, 4.0, ArrivalKind.CONSTANT, None, PLAIN) == ConstantArrivals(rate=4.0)
    assert arrivals_from(None, 4.0, ArrivalKind.GAMMA, 0.5, PLAIN) == GammaArrivals(rate=4.0, burstiness=0.5)
    assert arrivals_from(None, None, None, None, TRACE) == TraceArrivals()
    assert arrivals_from(None, 4.0, None, None, TRACE) == PoissonArrivals(rate=4.0)


@pytest.mark.parametrize(
    ("concurrency", "rate", "kind", "burstiness", "what"),
    [
        (8, 4.0, None, None, "exclude each other"),
        (None, None, None, None, "give --concurrency"),
        (8, None, ArrivalKind.POISSON, None, "--arrivals: belongs to --rate"),
        (None, 4.0, ArrivalKind.POISSON, 0.5, "--burstiness: belongs to --arrivals gamma"),
    ],
)
def test_arrivals_that_contradict_each_other_are_refused(
    concurrency: int | None, rate: float | None, kind: ArrivalKind | None, burstiness: float | None, what: str
):
    with pytest.raises(InputError, match=what):
        arrivals_from(concurrency, rate, kind, burstiness, PLAIN)


def test_a_trace_without_times_needs_some():
    assert arrivals_from(2, None, None, None, UNTIMED) == ClosedLoop(concurrency=2)
    with pytest.raises(InputError, match="the trace tells no times: give --concurrency"):
        arrivals_from(None, None, None, None, UNTIMED)


def test_lengths_make_a_plain_workload():
    found = workload_from(None, 64, 8, Endpoint.CHAT, ignore_eos=False)
    assert (found.input_tokens.longest, found.output_tokens.longest) == (64, 8)
    assert (found.endpoint, found.ignore_eos) == (Endpoint.CHAT, False)
    assert workload_from(None, 64, 8, None, None).endpoint is Endpoint.COMPLETIONS


def test_a_shipped_workload_keeps_what_the_options_do_not_change():
    shipped = workload_from("chat", None, None, None, None)
    changed = workload_from("chat", None, None, Endpoint.CHAT, None)
    assert changed == shipped.model_copy(update={"endpoint": Endpoint.CHAT})


@pytest.mark.parametrize(
    ("name", "input_tokens", "output_tokens", "what"),
    [
        (None, None, None, "give --input-tokens and --output-tokens, or a --workload"),
        (None, 64, None, "give --input-tokens and --output-tokens"),
        ("chat", 64, None, "--input-tokens: the workload says its lengths itself"),
        (None, 0, 8, "input_tokens"),
        ("no-such-workload", None, None, "no-such-workload"),
    ],
)
def test_a_workload_that_is_not_clear_is_refused(
    name: str | None, input_tokens: int | None, output_tokens: int | None, what: str
):
    with pytest.raises(InputError, match=what):
        workload_from(name, input_tokens, output_tokens, None, None)


def test_durations_are_seconds_unless_they_say_otherwise():
    found = [seconds_from(text, "--duration") for text in (None, "90", "2min")]
    assert found == [None, 90.0, 120.0]


@pytest.mark.parametrize("text", ["soon", "0s", "-3s"])
def test_no_duration_is_refused(text: str):
    with pytest.raises(InputError, match="--duration"):
        seconds_from(text, "--duration")


def test_a_run_is_bounded_once():
    check_count(100, None, PLAIN)
    check_count(None, 60.0, PLAIN)
    check_count(None, None, TRACE)
    for requests, seconds in ((100, 60.0), (None, None)):
        with pytest.raises(InputError, match="--requests"):
            check_count(requests, seconds, PLAIN)


def test_the_key_comes_from_the_environment():
    environ = {"VLLM_API_KEY": "", "OPENAI_API_KEY": "usual", "MINE": "own"}
    assert api_key(environ, None) == "usual"
    assert api_key(environ | {"VLLM_API_KEY": "local"}, None) == "local"
    assert api_key(environ, "MINE") == "own"
    assert api_key({}, None) == ""
    with pytest.raises(InputError, match="--api-key-env: the environment has no OTHER"):
        api_key(environ, "OTHER")
