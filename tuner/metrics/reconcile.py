"""Owns the comparison of client and server: what both counted, and the TTFT that both measured. Explains no trial.

**Counts** (requests with a first token, prompt tokens, output tokens) must be equal where they can be: the load point
drained, every request completed, and the server had no other client. After a failed request the server may have
counted more than its client got to see, never less.

**TTFT.** The server's mean is its histogram's exact sum over count: from the moment its front end took the request up
to the first token. The client's, from the moment of sending, holds the same and, on top, the way to the server and back
and the HTTP front end's reading and writing. So it can't be below the server's by more than noise (1 ms and 1 %: the
two clocks, and the server's is the wall clock), and it should not be above it by more than 20 ms and 10 %. One
iteration of a Python front end's event loop under load (parsing, tokenising, serialising for everybody at once) lies
below that; a larger share is time that the server's own figure hides from its operator, and that its users do wait.
Means are compared only where both counted the same requests: means of different ones need not agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tuner.domain.endpoint import Endpoint
from tuner.domain.load import LoadResult, Outcome
from tuner.domain.measurement import Reconciliation, ServerFigures
from tuner.domain.units import format_ms
from tuner.domain.workload import Workload
from tuner.metrics.latency import ttft_from_send

_BELOW_S, _BELOW = 0.001, 0.01
_ABOVE_S, _ABOVE = 0.020, 0.10
_OTHERS = "other clients?"
_RESTLESS = "the server was not at rest before or after the load: its counters can't be compared with the client's"


@dataclass(frozen=True, slots=True)
class _Count:
    """One thing that both sides counted."""

    what: str
    client: int
    server: float | None


def reconcile(
    result: LoadResult, server: ServerFigures, *, alone: bool = True, drained: bool = True, shares_prefix: bool = True
) -> Reconciliation:
    """Return what client and server say of the same load point, and what does not agree though it should.

    Args:
        result: what the load generator brought back.
        server: the server's figures from before the first request to after the last end.
        alone: whether the server surely had no other client.
        drained: whether the server was at rest before and after, so that its counters tell all of the load.
        shares_prefix: whether prompts have a beginning in common; without, the prefix cache must not be hit.
    """
    started = [record for record in result.records if record.event_times]
    requests = _Count("requests with a first token", len(started), server.ttft_count)
    prompt = _Count("prompt tokens", sum(record.input_tokens for record in started), server.prompt_tokens)
    output = _Count("output tokens", sum(record.output_tokens for record in started), server.generation_tokens)
    mean = float(np.mean(ttft_from_send(started))) if started else None
    clean = all(record.outcome is Outcome.OK for record in result.records)
    counts = (requests, prompt, output) if drained else ()
    mismatches = [text for count in counts if (text := _unequal(count, alone=alone, clean=clean))]
    if not drained and requests.server is not None:
        mismatches.append(_RESTLESS)
    if requests.server == requests.client:
        mismatches += _ttft_apart(mean, server.ttft_mean)
    if not shares_prefix:
        mismatches += _unexpected_hits(server, alone=alone)
    return Reconciliation(
        client_requests=requests.client,
        server_requests=requests.server,
        client_prompt_tokens=prompt.client,
        server_prompt_tokens=prompt.server,
        client_output_tokens=output.client,
        server_output_tokens=output.server,
        client_ttft_mean=mean,
        server_ttft_mean=server.ttft_mean,
        mismatches=tuple(mismatches),
    )


def may_share_prefix(workload: Workload) -> bool:
    """Return whether prompts may begin alike: by intent, in a conversation, a trace, or through a chat template."""
    prefixed = workload.prefix is not None or any(each.prefix for each in workload.classes)
    grows = workload.conversation is not None or workload.trace is not None
    return prefixed or grows or workload.endpoint is Endpoint.CHAT


def _unequal(count: _Count, *, alone: bool, clean: bool) -> str:
    if count.server is None or count.server == count.client or (count.server > count.client and not clean):
        return ""
    text = f"{count.what}: the client counted {count.client}, the server {count.server:.0f}"
    return f"{text} ({_OTHERS})" if count.server > count.client and not alone else text


def _ttft_apart(client: float | None, server: float | None) -> Iterator[str]:
    if client is None or server is None:
        return
    if client < server - _BELOW_S - _BELOW * server:
        yield f"mean TTFT: the client's {format_ms(client)} is below the server's own {format_ms(server)}"
    if client > server + _ABOVE_S + _ABOVE * server:
        yield (
            f"mean TTFT: the client's {format_ms(client)} is far above the server's own {format_ms(server)}: "
            "its figure leaves out the network and its HTTP front end"
        )


def _unexpected_hits(server: ServerFigures, *, alone: bool) -> Iterator[str]:
    if server.prefix_cache_hit_rate:
        others = "" if alone else f" ({_OTHERS})"
        yield (
            f"prefix cache: {server.prefix_cache_hit_rate:.1%} hits, though no two prompts share a prefix: "
            f"was this seed sent to this server before?{others}"
        )
