"""Posting notices to webhooks: off the study's path, within bounds, and without a word about secrets.

A webhook's address is a secret from its path on: whoever has it can post. It is never shown, logged, stored or put into
an error. Each delivery has a daemon thread of its own, not a task of the event loop: a name server that hangs can hold
up neither the study, nor another webhook, nor the end of the program.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tuner import __version__
from tuner.domain.errors import InputError
from tuner.domain.secrets import without_secrets

TIMEOUT_S = 5.0
"""Seconds for each step of a request: connection, sending, the answer's first line."""
PAUSES_S = (0.0, 1.0, 3.0)
"""Seconds before the first attempt and before each further one."""
_AGAIN = frozenset({408, 425, 429})
"""Answers, besides those from 500 on, that another attempt may change."""
_THREAD = "tuner-webhook"
_HEADERS = {"user-agent": f"tuner/{__version__}"}


class Webhook:
    """An address to post to, which shows no more of itself than its scheme and host."""

    __slots__ = ("shown", "url")

    def __init__(self, text: str) -> None:
        """Take an address.

        Raises:
            InputError: not a whole http:// or https:// URL. The message does not repeat it.
        """
        try:
            parts = urlsplit(text.strip())
            host, port, url = parts.hostname, parts.port, httpx.URL(text.strip())
        except (ValueError, httpx.InvalidURL):
            raise _no_address() from None
        if parts.scheme not in {"http", "https"} or not host or not url.host:
            raise _no_address()
        self.url = url
        self.shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}/…"

    def __repr__(self) -> str:
        """Return what may be shown."""
        return f"Webhook({self.shown})"


def _no_address() -> InputError:
    return InputError(
        "not a whole http:// or https:// address",
        where="--notify",
        advice="Write it as the service gave it to you, in quotes; TUNER_NOTIFY takes several, separated by spaces.",
    )


@dataclass(frozen=True, slots=True)
class _Delivery:
    thread: threading.Thread
    webhook: Webhook
    abandoned: threading.Event


class Messenger:
    """Delivers payloads to every webhook, in the background."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        warn: Callable[[str], None],
        *,
        secrets: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        """Take the addresses, who is told, from any thread, of a delivery that failed, and what nobody is told."""
        self._webhooks = tuple(webhooks)
        self._warn = warn
        self._secrets = tuple(secrets)
        self._timeout_s = timeout_s
        self._pauses_s = tuple(pauses_s)
        self._deliveries: list[_Delivery] = []
        logging.getLogger("httpx").addFilter(_from_another_thread)

    def send(self, payload: dict[str, Any]) -> None:
        """Begin to deliver a payload to every webhook, and return at once."""
        payload = without_secrets(payload, self._secrets)
        for webhook in self._webhooks:
            abandoned = threading.Event()
            thread = threading.Thread(
                target=self._deliver, args=(webhook, payload, abandoned), name=_THREAD, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system has no thread left
                self._warn(f"not told: {webhook.shown}: no thread could be started")
            else:
                self._deliveries.append(_Delivery(thread, webhook, abandoned))

    def wait(self, seconds: float) -> None:
        """Wait until everything is delivered or given up, for so many seconds at most."""
        ends = time.monotonic() + seconds
        try:
            for delivery in self._deliveries:
                delivery.thread.join(max(ends - time.monotonic(), 0.0))
        except KeyboardInterrupt:  # whoever presses Ctrl-C does not want to wait
            ends = 0.0
        for delivery in self._deliveries:
            if delivery.thread.is_alive():
                delivery.abandoned.set()
                self._warn(f"not told: {delivery.webhook.shown}: no answer in time")
        self._deliveries.clear()

    def _deliver(self, webhook: Webhook, payload: dict[str, Any], abandoned: threading.Event) -> None:
        problem: str | None = None
        for pause in self._pauses_s:
            if abandoned.wait(pause):
                return
            problem, again = _post(webhook.url, payload, self._timeout_s)
            if problem is None:
                return
            if not again:
                break
        if not abandoned.is_set():
            self._warn(f"not told: {webhook.shown}: {problem}")


def _post(url: httpx.URL, payload: dict[str, Any], timeout_s: float) -> tuple[str | None, bool]:
    """Return what went wrong, None when nothing did, and whether another attempt may help.

    Only the answer's status is read. No library's message is passed on: it may hold the address.
    """
    try:
        with (
            httpx.Client(timeout=timeout_s, follow_redirects=False, headers=_HEADERS) as client,
            client.stream("POST", url, json=payload) as response,
        ):
            return _judged(response.status_code)
    except httpx.TimeoutException:
        return f"no answer within {timeout_s:g} s", True
    except httpx.HTTPError as error:
        return f"no connection ({type(error).__name__})", True
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:  # certificates, a proxy's settings
        return f"can't be posted to ({type(error).__name__})", False


def _judged(status: int) -> tuple[str | None, bool]:
    if httpx.codes.is_success(status):
        return None, False
    if httpx.codes.is_redirect(status):
        return f"answered {status}, a redirect, which is not followed", False
    return f"answered {status}", status in _AGAIN or httpx.codes.is_server_error(status)


def _from_another_thread(record: logging.LogRecord) -> bool:
    """Keep back what httpx logs of a delivery: the whole address."""
    return record.threadName != _THREAD
