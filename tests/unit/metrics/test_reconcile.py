"""Client and server side by side."""

import pytest

from tuner.domain.lengths import FixedLength
from tuner.domain.load import ClientHealth, LoadResult, Outcome, RequestRecord
from tuner.domain.measurement import ServerFigures
from tuner.domain.workload import (
    ChainStep,
    Conversation,
    Endpoint,
    RequestClass,
    SharedPrefix,
    Trace,
    TraceFormat,
    Workload,
)
from tuner.metrics.reconcile import may_share_prefix, reconcile

EIGHT = FixedLength(tokens=8)
HEALTH = ClientHealth(cpu_s=1, cpu_share=0.1, lateness_p99=0, loop_lag_max=0)


def answer(first: float = 0.2) -> RequestRecord:
    """Sent 50 ms late: reconciliation counts from the sending."""
    return RequestRecord(0.0, 0.05, (0.05 + first, 0.8), 0.8, Outcome.OK, 20, 2, 2)


def failure(*times: float) -> RequestRecord:
    return RequestRecord(0.0, 0.0, times, 0.8, Outcome.CUT, 20, 0, 2, "why")


def result(*records: RequestRecord) -> LoadResult:
    return LoadResult(1000.0, 1.0, records, HEALTH)


def server(**changes: float) -> ServerFigures:
    """What a server says that agrees with ten answers."""
    figures = {"ttft_count": 10.0, "ttft_mean": 0.195, "prompt_tokens": 200.0, "generation_tokens": 20.0}
    return ServerFigures.model_validate(figures | changes)


TEN = result(*(answer() for _ in range(10)))


def test_two_sides_that_agree_have_nothing_to_say():
    found = reconcile(TEN, server())
    assert found.mismatches == ()
    assert (found.client_requests, found.client_prompt_tokens, found.client_output_tokens) == (10, 200, 20)
    assert (found.server_requests, found.server_prompt_tokens, found.server_output_tokens) == (10, 200, 20)
    assert found.client_ttft_mean == pytest.approx(0.2)
    assert found.server_ttft_mean == 0.195


def test_counters_of_a_server_that_was_not_at_rest_prove_nothing():
    found = reconcile(TEN, server(ttft_count=13, generation_tokens=17), drained=False)
    assert [text.partition(":")[0] for text in found.mismatches] == [
        "the server was not at rest before or after the load"
    ]


@pytest.mark.parametrize(
    ("counter", "value", "what"),
    [
        ("ttft_count", 11, "requests with a first token: the client counted 10, the server 11"),
        ("prompt_tokens", 199, "prompt tokens: the client counted 200, the server 199"),
        ("generation_tokens", 21, "output tokens: the client counted 20, the server 21"),
    ],
)
def test_a_single_one_too_many_or_too_few_is_told(counter: str, value: float, what: str):
    assert reconcile(TEN, server(**{counter: value})).mismatches == (what,)


def test_on_a_shared_server_more_may_be_others_but_less_is_not():
    found = reconcile(TEN, server(prompt_tokens=300, generation_tokens=19), alone=False)
    assert found.mismatches == (
        "prompt tokens: the client counted 200, the server 300 (other clients?)",
        "output tokens: the client counted 20, the server 19",
    )


def test_after_a_failure_the_server_may_have_counted_more():
    """The cut request had a first token, and its client never saw the server's usage."""
    broken = result(*(answer() for _ in range(9)), failure(0.2), failure())
    assert reconcile(broken, server(prompt_tokens=220, generation_tokens=19)).mismatches == ()
    assert reconcile(broken, server(generation_tokens=17)).mismatches == (
        "output tokens: the client counted 18, the server 17",
    )


@pytest.mark.parametrize("mean", [0.1985, 0.2, 0.2005, 0.165])
def test_means_within_noise_and_the_front_end_agree(mean: float):
    assert reconcile(TEN, server(ttft_mean=mean)).mismatches == ()


def test_a_client_below_the_server_is_impossible():
    assert reconcile(TEN, server(ttft_mean=0.21)).mismatches == (
        "mean TTFT: the client's 200 ms is below the server's own 210 ms",
    )


def test_a_client_far_above_the_server_shows_what_the_server_hides():
    (text,) = reconcile(TEN, server(ttft_mean=0.1)).mismatches
    assert text.startswith("mean TTFT: the client's 200 ms is far above the server's own 100 ms")


def test_means_of_different_requests_are_not_compared():
    (text,) = reconcile(TEN, server(ttft_count=30, ttft_mean=0.01), alone=False).mismatches
    assert text == "requests with a first token: the client counted 10, the server 30 (other clients?)"


def test_a_server_without_metrics_contradicts_nothing():
    found = reconcile(TEN, ServerFigures(), shares_prefix=False)
    assert found.mismatches == ()
    assert found.client_requests == 10
    assert found.server_requests is None


def test_nothing_that_came_has_no_mean():
    found = reconcile(result(failure()), server(ttft_count=0, prompt_tokens=0, generation_tokens=0))
    assert (found.client_requests, found.client_ttft_mean, found.mismatches) == (0, None, ())


def test_cache_hits_count_only_against_prompts_that_share_nothing():
    hit = server(prefix_cache_hit_rate=0.25)
    assert reconcile(TEN, hit).mismatches == ()
    assert reconcile(TEN, server(prefix_cache_hit_rate=0.0), shares_prefix=False).mismatches == ()
    (text,) = reconcile(TEN, hit, shares_prefix=False).mismatches
    assert text.startswith("prefix cache: 25.0% hits, though no two prompts share a prefix")
    (shared,) = reconcile(TEN, hit, alone=False, shares_prefix=False).mismatches
    assert shared.endswith("(other clients?)")


def test_prompts_share_nothing_unless_asked_for():
    kind = RequestClass(name="a", weight=1.0, input_tokens=EIGHT, output_tokens=EIGHT)
    step = ChainStep(name="s", input_tokens=EIGHT, output_tokens=EIGHT)
    prefix = SharedPrefix(tokens=EIGHT)
    assert not any(map(may_share_prefix, [Workload(), Workload(classes=(kind,)), Workload(chain=(step,))]))
    assert may_share_prefix(Workload(prefix=prefix))
    assert may_share_prefix(Workload(classes=(kind, kind.model_copy(update={"name": "b", "prefix": prefix}))))
    assert may_share_prefix(Workload(conversation=Conversation(turns=EIGHT)))
    assert may_share_prefix(Workload(trace=Trace(file="t", format=TraceFormat.MOONCAKE)))
    assert may_share_prefix(Workload(endpoint=Endpoint.CHAT))
