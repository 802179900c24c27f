"""One measurement of a server that is already running: what `tuner bench` does.

Owns what is asked of the server besides the load (its models, its metrics), how much is sent, and what is made of what
came back. Neither starts nor stops a server, and sends it no completion that is not part of the measurement.
"""

import math
import ssl
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from tuner.domain.arrivals import (
    Arrivals,
    ClosedLoop,
    ConstantArrivals,
    GammaArrivals,
    PoissonArrivals,
    RampArrivals,
    TraceArrivals,
)
from tuner.domain.bench import Bench
from tuner.domain.errors import InputError, LaunchError, SurroundingsError
from tuner.domain.load import LoadJob, LoadResult
from tuner.domain.measurement import LoadPoint, Scrape
from tuner.domain.slo import Slo
from tuner.domain.workload import Workload
from tuner.load.process import run_job
from tuner.metrics.reconcile import may_share_prefix, reconcile
from tuner.metrics.sessions import lead_of
from tuner.metrics.summary import summarise
from tuner.store.location import DatabaseLocation
from tuner.store.lock import writer_lock
from tuner.store.preflight import check_database
from tuner.store.writer import open_store
from tuner.telemetry.figures import server_figures
from tuner.telemetry.metrics import parse_scrape
from tuner.telemetry.scraper import Scraper, scraping

FIRST_TOKEN, VOCABULARY = 16, 256
"""Prompt token ids are drawn from [16, 256) unless told otherwise. Every tokenizer has these (bytes, mostly), and 240
values are enough to share no prefix: two blocks of 16 tokens are the same once in 1e38. The first ids are left out:
they begin, end, or stand for an image, in one model or another."""
SILENCE_S = 60.0
"""A server that says nothing at all for so long, with requests running, won't say any more."""
_LONGEST_S = 7 * 86400.0
_TIMEOUT_S = 10.0
_METRICS_TIMEOUT_S = 3.0
"""A server that has no /metrics may also have no answer for it."""
_MOST_RPS, _MOST_PROMPT_TOKENS_PER_S = 5_000.0, 200_000.0
"""What no server (nor this client) takes: bounds what a closed loop can send in a given time."""
_MOST_TOKENS = 20_000_000
"""Prompt tokens that a closed loop prepares at the most: they are all in memory before the first request, some 25 bytes
each, in some 0.2 µs each."""
_SIGMAS = 6

Progress = Callable[[int, int], None]
"""Told of requests done, and requests in all."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What is to be measured."""

    url: str
    """Base URL of the server, with or without `/v1` at its end."""
    workload: Workload
    arrivals: Arrivals
    seed: int
    """A seed used before on the same server sends the same prompts again, and finds them in its prefix cache."""
    model: str = ""
    """The served model name; empty for the only one that the server has."""
    requests: int | None = None
    """How many requests; of a workload of several calls, user requests. None: as many as fit in `send_for_s`."""
    send_for_s: float | None = None
    """For how long requests are sent."""
    slos: tuple[Slo, ...] = ()
    vocabulary: int = VOCABULARY
    silence_s: float = SILENCE_S


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement with its raw readings."""

    bench: Bench
    result: LoadResult
    scrapes: tuple[Scrape, ...]
    ran_short: bool = False
    """Whether all prepared requests were sent before the time for sending was over."""


async def measure(plan: BenchPlan, *, api_key: str, on_progress: Progress) -> Measured:
    """Load a running server and return what was measured. Cancelling it ends the load at once.

    Args:
        plan: What to send, where, and when.
        api_key: Sent as a bearer token; empty for none.
        on_progress: Called a few times a second.

    Raises:
        InputError: no usable URL, no such model, or a key that the server refuses.
        SurroundingsError: the server can't be reached, or the load generator failed.
    """
    url = base_url(plan.url)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(url, api_key))
        model = plan.model or await only_model(client)
        scraper = None
        if await _has_metrics(client):
            scraper = await stack.enter_async_context(scraping(url, api_key=api_key or None))
        began = datetime.now(UTC)
        result = await _load(plan, url, model, api_key, on_progress)
    return _measured(plan, url, model, began, result, scraper)


def base_url(text: str) -> str:
    """Return a server's base URL without `/v1` and slashes at its end.

    Raises:
        InputError: not an http or https URL with a host, or one with a password.
    """
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise InputError(f"{text!r} is no URL: {error}", where="--url") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InputError(f"{text!r} is no URL", where="--url", advice="Write it like http://127.0.0.1:8000.")
    if url.userinfo:
        what = "holds a user's name or password, which would be stored"
        raise InputError(what, where="--url", advice="Keys go into the environment: see --api-key-env.")
    return text.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def _client(url: str, api_key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    # As the load generator does: the system's certificates (SSL_CERT_FILE is honoured), and no proxy.
    verify = ssl.create_default_context() if url.startswith("https:") else True
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, verify=verify)


async def only_model(client: httpx.AsyncClient) -> str:
    """Return the name of the one model that the server serves.

    Raises:
        InputError: it serves several or none, does not list them, or wants another key.
        SurroundingsError: it can't be reached.
    """
    response = await _get(client, "/v1/models")
    if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise InputError(
            f"the server refuses the API key (HTTP {response.status_code})",
            where=str(client.base_url),
            advice="Put it into OPENAI_API_KEY, or name its variable with --api-key-env.",
        )
    names = _model_names(response)
    if len(names) != 1:
        what = f"the server has several models: {', '.join(names)}" if names else "the server does not list its models"
        raise InputError(what, where=str(client.base_url), advice="Name one with --model.")
    return names[0]


def _model_names(response: httpx.Response) -> list[str]:
    try:
        listed: Any = response.json()
        return [str(model["id"]) for model in listed["data"]] if response.is_success else []
    except (ValueError, TypeError, LookupError):
        return []


async def _has_metrics(client: httpx.AsyncClient) -> bool:
    """Return whether the server has metrics that the scraper can read: a server without is not asked again."""
    response = await _get(client, "/metrics", patience=_METRICS_TIMEOUT_S)
    try:
        return response.is_success and parse_scrape(response.text, 0.0) != Scrape(at=0.0)
    except ValueError:
        return False


async def _get(client: httpx.AsyncClient, path: str, *, patience: float = _TIMEOUT_S) -> httpx.Response:
    try:
        return await client.get(path, timeout=patience)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
        raise SurroundingsError(
            f"the server can't be reached: {error or 'no connection in time'}",
            where=str(client.base_url),
            advice="Name the certificate of its authority in SSL_CERT_FILE."
            if untrusted
            else "Check that it runs and that host, port and scheme are right.",
        ) from error
    except httpx.HTTPError as error:  # it is there, and does not answer this: the load will tell
        return httpx.Response(httpx.codes.BAD_GATEWAY, text=str(error))


async def _load(plan: BenchPlan, url: str, model: str, api_key: str, on_progress: Progress) -> LoadResult:
    job = LoadJob(
        url=url,
        model=model,
        vocabulary=plan.vocabulary,
        first_token=min(FIRST_TOKEN, plan.vocabulary - 2),
        workload=plan.workload,
        arrivals=plan.arrivals,
        requests=plan.requests or enough_requests(plan),
        deadline_s=_LONGEST_S,
        send_for_s=plan.send_for_s,
        silence_s=plan.silence_s,
        seed=plan.seed,
    )
    try:
        return await run_job(job, api_key=api_key, on_progress=on_progress)
    except LaunchError as error:
        raise SurroundingsError(error.failure.evidence, where="load generator") from error


def enough_requests(plan: BenchPlan) -> int:
    """Return how many requests suffice to send for `send_for_s`, more than will be sent, or to replay a whole trace."""
    seconds, arrivals = plan.send_for_s, plan.arrivals
    if seconds is None or isinstance(arrivals, TraceArrivals):
        return max(plan.workload.trace.requests if plan.workload.trace else 0, 1)
    if isinstance(arrivals, ClosedLoop):
        tokens = max(plan.workload.longest_request, 1)
        fastest = min(_MOST_RPS, _MOST_PROMPT_TOKENS_PER_S / tokens)
        return arrivals.concurrency + min(math.ceil(seconds * fastest), _MOST_TOKENS // tokens)
    expected = mean_rate(arrivals) * seconds
    return math.ceil(expected + _SIGMAS * math.sqrt(expected * _dispersion(arrivals)) + _SIGMAS)


def mean_rate(arrivals: RampArrivals | PoissonArrivals | ConstantArrivals | GammaArrivals) -> float:
    """Return requests per second, on average over time."""
    return (arrivals.from_rate + arrivals.to_rate) / 2 if isinstance(arrivals, RampArrivals) else arrivals.rate


def _dispersion(arrivals: Arrivals) -> float:
    """Return the variance of the number of arrivals over its mean, in the long run."""
    match arrivals:
        case GammaArrivals(burstiness=burstiness):
            return 1 / burstiness
        case ConstantArrivals():
            return 0.0
        case _:
            return 1.0


def _measured(
    plan: BenchPlan, url: str, model: str, began: datetime, result: LoadResult, scraper: Scraper | None
) -> Measured:
    scrapes = scraper.scrapes(result.started_at) if scraper else ()
    server = server_figures(scrapes, result.duration)
    drained = scraper is None or scraper.drained
    point = LoadPoint(
        index=0,
        arrivals=plan.arrivals,
        requests=plan.requests or _begun(result),
        seed=plan.seed,
        started_at=began,
        duration=result.duration,
        summary=summarise(result, plan.arrivals, plan.slos, lead_s=lead_of(plan.workload)),
        server=server,
        client=result.client,
        reconciliation=reconcile(
            result, server, alone=False, drained=drained, shares_prefix=may_share_prefix(plan.workload)
        ),
    )
    bench = Bench(url=url, model=model, workload=plan.workload, slos=plan.slos, point=point)
    closed = isinstance(plan.arrivals, ClosedLoop) and plan.send_for_s is not None
    return Measured(bench, result, scrapes, ran_short=closed and _begun(result) >= enough_requests(plan))


def _begun(result: LoadResult) -> int:
    """Return how many requests, or user requests of several calls, were begun."""
    sessions = {record.session for record in result.records if record.session >= 0}
    return len(sessions) or len(result.records)


@contextmanager
def keeping(location: DatabaseLocation | None) -> Generator[Callable[[Measured], int | None]]:
    """Hold a result file, and yield what stores a measurement in it and returns its id; nothing without a location.

    The file is checked and locked before the measurement, so that none is lost for want of a place.

    Raises:
        InputError: a file of another kind or application, or of a newer tuner.
        SurroundingsError: it can't be written, or another process is writing into it.
    """
    if location is None:
        yield lambda _: None
        return
    check_database(location, for_writing=True)
    with writer_lock(location, "tuner bench"), open_store(location) as store:
        yield lambda measured: store.save_bench(measured.bench, measured.result.records, measured.scrapes)
