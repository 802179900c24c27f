"""Rules about seats, memory, processes and cards: each says when it holds, in which words, and what to do. Pure.

A rule takes `Evidence` and returns an `Explanation` or None. Every threshold stands here with its reason;
docs/explanations.md tells the same to users. What a rule needs and does not know, it does not claim.
"""

from tuner.analysis.evidence import Evidence, Use, percent
from tuner.analysis.explanation import Explanation, ExplanationKind, known, now
from tuner.domain.slo import Latency
from tuner.domain.units import format_ms

LITTLE_ROOM = 0.8
"""From this share on a limit is too near for advice that costs this latency."""
LONG_WAIT = 0.1
"""Waiting that makes up a tenth of TTFT is worth a flag; less is the step that every request waits for anyway."""
_ONE_CORE = 0.9
"""CPU share of a Python process that can do no more: its interpreter runs one thread at a time."""
_KEPT_BUSY = 0.8
"""Below, a GPU with requests at hand has gaps between its steps."""
_FEW_SEATS = 0.25
"""Two to three times the peak is the field's headroom; four times is too much."""
_HALF = 0.5
_THROTTLED = 0.05
"""One sample in twenty: a single reading is no state."""
_IDLE_SHARE = 0.1
"""A tenth of the engine's time is worth a word."""

_K = ExplanationKind


def client_bound(evidence: Evidence) -> Explanation | None:
    """The measurement judged itself invalid, or its process had no CPU left: nothing else can be trusted then."""
    client, reasons = evidence.point.client, evidence.point.summary.invalid
    if not reasons and client.cpu_share < _ONE_CORE:
        return None
    why = "; ".join(reasons) or "its process had no CPU left"
    return Explanation(
        kind=_K.CLIENT_BOUND,
        text=f"The load generator, not the server, set these figures: {why} "
        f"(it used {percent(client.cpu_share)} of a core and sent {format_ms(client.lateness_p99)} late at p99).",
        figures=known(
            client_cpu_share=client.cpu_share,
            lateness_p99_s=client.lateness_p99,
            loop_lag_p99_s=client.loop_lag_p99,
        ),
        advice="Leave the load generator a core of its own, or lower the rate; don't read this load point.",
    )


def thermally_throttled(evidence: Evidence) -> Explanation | None:
    """The card itself, or its driver, lowered clocks because it was too hot."""
    found = evidence.most_throttled(("hw_thermal_slowdown", "sw_thermal_slowdown"))
    if found is None or found[1] <= _THROTTLED:
        return None
    gpu, share = found
    heat = "" if gpu.temperature_max_c is None else f" at up to {gpu.temperature_max_c:.0f} °C"
    clock = "" if gpu.sm_clock_mean_mhz is None else f", its SM clock {gpu.sm_clock_mean_mhz:.0f} MHz on average"
    return Explanation(
        kind=_K.THERMALLY_THROTTLED,
        text=f"GPU {gpu.index} lowered its clocks against heat in {percent(share)} of the samples{heat}{clock}.",
        figures=known(
            throttled_share=share,
            temperature_max_c=gpu.temperature_max_c,
            sm_clock_mean_mhz=gpu.sm_clock_mean_mhz,
            sm_clock_min_mhz=gpu.sm_clock_min_mhz,
        ),
        advice="Cool the machine and measure again: a cool card gives other figures.",
    )


def preempting(evidence: Evidence) -> Explanation | None:
    """VLLM threw running requests out of a full KV cache; each computes its tokens again."""
    server, completed = evidence.point.server, evidence.point.summary.completed
    if not server.preemptions:
        return None
    usage = "" if server.kv_cache_usage_max is None else f" (up to {percent(server.kv_cache_usage_max)} in use)"
    seats = evidence.facts.max_num_seqs
    return Explanation(
        kind=_K.PREEMPTING,
        text=f"The KV cache ran out{usage} and running requests were preempted {server.preemptions:.0f} times, "
        f"with {completed} completed: each computes its tokens a second time.",
        figures=known(
            preemptions=server.preemptions,
            preemptions_per_request=server.preemptions / completed if completed else None,
            kv_cache_usage_max=server.kv_cache_usage_max,
            max_num_seqs=seats,
        ),
        advice=f"Lower max-num-seqs{now(seats)}, or give the KV cache more room: raise gpu-memory-utilization, "
        "or set kv-cache-dtype fp8.",
    )


def kv_bound(evidence: Evidence) -> Explanation | None:
    """Requests waited for room in the KV cache although seats were free."""
    server = evidence.point.server
    if not evidence.kv_cache_full or evidence.seats_full or not server.waiting_max:
        return None
    seats = evidence.facts.max_num_seqs
    taken = f"{server.running_max or 0:.0f} of {seats} seats" if seats else f"{server.running_max or 0:.0f} seats"
    return Explanation(
        kind=_K.KV_BOUND,
        text=f"The KV cache was full ({percent(server.kv_cache_usage_max or 0)} in use) with {taken} taken, "
        f"while {evidence.waiting:.1f} requests waited on average.",
        figures=known(
            kv_cache_usage_max=server.kv_cache_usage_max,
            running_max=server.running_max,
            waiting_mean=evidence.waiting,
            max_num_seqs=seats,
        ),
        advice="Raise gpu-memory-utilization, or set kv-cache-dtype fp8; more max-num-seqs can't help.",
    )


def queue_bound(evidence: Evidence) -> Explanation | None:
    """Every seat was taken, and waiting for one is a good part of TTFT; or, seats unknown, waiting is most of it."""
    seats = evidence.facts.max_num_seqs
    if evidence.wait_share < (LONG_WAIT if evidence.seats_full else _HALF) or (seats and not evidence.seats_full):
        return None
    wait_s, mean = evidence.wait_s or 0.0, evidence.point.summary.ttft.mean or 0.0
    running = evidence.point.server.running_max
    full = f"All {seats} seats (max-num-seqs) were taken" if seats else f"At most {running or 0:.0f} requests ran"
    return Explanation(
        kind=_K.QUEUE_BOUND,
        text=f"{full} and {evidence.waiting:.1f} requests waited on average, about {format_ms(wait_s)} each: "
        f"{percent(evidence.wait_share)} of the mean TTFT of {format_ms(mean)}.",
        figures=known(
            max_num_seqs=seats, running_max=running, waiting_mean=evidence.waiting, wait_s=wait_s, ttft_mean_s=mean
        ),
        advice=_more_seats(evidence.use(Latency.TPOT, Latency.ITL), seats, kv_cache_full=evidence.kv_cache_full),
    )


def _more_seats(answers: Use | None, seats: int | None, *, kv_cache_full: bool) -> str:
    if kv_cache_full:
        return "The KV cache is full as well: give it more room (gpu-memory-utilization), or add a replica."
    if answers is None:
        return f"Raise max-num-seqs{now(seats)}."
    if answers.share < LITTLE_ROOM:
        return f"Raise max-num-seqs{now(seats)}: {answers}."
    return f"Add a replica: more seats would slow every answer, and {answers}."


def tokenisation_bound(evidence: Evidence) -> Explanation | None:
    """The API server's interpreter is full while the part that computes waits for it."""
    share, busy = evidence.api_share, evidence.busy
    if share is None or share < _ONE_CORE or busy is None or busy.share >= _KEPT_BUSY:
        return None
    return Explanation(
        kind=_K.TOKENISATION_BOUND,
        text=f"The API server used {share:.2f} of a core while {busy}: "
        "tokenising prompts, detokenising and streaming answers held the engine back.",
        figures=known(api_server_cpu_share=share, **busy_figures(evidence)),
        advice="Raise api-server-count, or stream-interval so that one event carries several tokens.",
    )


def host_bound(evidence: Evidence) -> Explanation | None:
    """EngineCore works without a pause, yet the GPU has gaps although requests are always at hand."""
    share, busy, running = evidence.engine_share, evidence.busy, evidence.point.server.running_mean
    if share is None or busy is None or not busy.on_gpu or running is None:
        return None
    if share < _ONE_CORE or busy.share >= _KEPT_BUSY or running < 1:
        return None
    return Explanation(
        kind=_K.HOST_BOUND,
        text=f"EngineCore used {share:.2f} of a core and {busy}, with {running:.1f} requests running: "
        "scheduling, sampling and launching kernels held the GPU back.",
        figures=known(engine_cpu_share=share, running_mean=running, **busy_figures(evidence)),
        advice="Leave CUDA graphs on (no enforce-eager), turn async-scheduling on, or give the engine faster cores.",
    )


def idle_between_calls(evidence: Evidence) -> Explanation | None:
    """Users of several calls in a row left the engine without work between them."""
    sessions = evidence.point.summary.sessions
    if sessions is None or sessions.idle_share < _IDLE_SHARE:
        return None
    alone = sessions.idle_share_one_user
    one = "" if alone is None else f"; a single user leaves {percent(alone)}"
    return Explanation(
        kind=_K.IDLE_BETWEEN_CALLS,
        text=f"In {percent(sessions.idle_share)} of the time no call was in flight, because users do other work "
        f"between their {sessions.calls_mean:.1f} calls{one}.",
        figures=known(
            idle_share=sessions.idle_share,
            idle_share_one_user=alone,
            calls_mean=sessions.calls_mean,
            users_mean=evidence.point.summary.users_mean,
        ),
        advice="Let more users in at the same time: the calls of one fill the gaps of another.",
    )


def starved(evidence: Evidence) -> Explanation | None:
    """The defaults are too large for the load: a bus with 256 seats that carries ten."""
    server, seats, busy = evidence.point.server, evidence.facts.max_num_seqs, evidence.busy
    if seats is None or server.running_max is None or server.running_max > seats * _FEW_SEATS or server.waiting_max:
        return None
    if (busy is not None and busy.share >= _HALF) or not evidence.point.summary.slo_met:
        return None
    also = f", and {busy}" if busy else ""
    peak = max(1.0, server.running_max)
    return Explanation(
        kind=_K.STARVED,
        text=f"At most {server.running_max:.0f} of {seats} seats (max-num-seqs) were taken and nothing waited{also}: "
        f"a bus of {seats} seats that carries {server.running_max:.0f}.",
        figures=known(running_max=server.running_max, max_num_seqs=seats, **busy_figures(evidence)),
        advice=f"Lower max-num-seqs to two or three times the peak ({2 * peak:.0f} to {3 * peak:.0f}) and "
        "max-num-batched-tokens with it, or send this replica more.",
    )


def power_capped(evidence: Evidence) -> Explanation | None:
    """The card ran at its power limit. Usual for a card under full load, so it is noted, not blamed."""
    found = evidence.most_throttled(("sw_power_cap", "hw_power_brake_slowdown"))
    if found is None or found[1] <= _THROTTLED:
        return None
    gpu, share = found
    power = "" if gpu.power_mean_w is None else f" at {gpu.power_mean_w:.0f} W on average"
    return Explanation(
        kind=_K.POWER_CAPPED,
        text=f"GPU {gpu.index} was held at its power limit in {percent(share)} of the samples{power}: "
        "usual for a card under full load.",
        figures=known(throttled_share=share, power_mean_w=gpu.power_mean_w, sm_clock_mean_mhz=gpu.sm_clock_mean_mhz),
    )


def busy_figures(evidence: Evidence) -> dict[str, float | None]:
    """Return the figure behind `Evidence.busy`, under its name."""
    busy = evidence.busy
    if busy is None:
        return {}
    return {"gpu_utilisation": busy.share} if busy.on_gpu else {"engine_cpu_share": busy.share}
