"""When a server is ready: it is ours, and it does its work.

Ours: it serves the model name with the launch's nonce. Its work: a real completion with exactly the tokens asked for.
`/health` proves neither: a stranger's server answers it, and so does one whose engine hangs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tuner.domain.errors import LaunchError
from tuner.domain.failure import Failure, FailureKind

_PROMPT: Final = [5, 6, 7, 8]
"""Token ids that any vocabulary has."""
_TOKENS: Final = 4
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 1.0
_QUICK: Final = httpx.Timeout(5.0)


@dataclass(slots=True)
class Probe:
    """What was last seen of a server that isn't ready yet; evidence when it never becomes so."""

    url: str
    served_name: str
    api_key: str
    seen: str = "it never listened"

    async def wait_until_ready(self, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
        """Return once the server is ours and completed a prompt; the caller sets the deadline.

        Raises:
            LaunchError: somebody else's server answers, or the first completion is refused or wrong.
        """
        pause = _FIRST_PAUSE
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=_QUICK, trust_env=False) as client:
            while not await self._is_ready(client):
                await sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return await self._is_ours(client) and await self._completes(client)
        except httpx.ConnectError:
            return False
        except httpx.HTTPError as error:
            self.seen = f"it listened, then {type(error).__name__}"
            return False

    async def _is_ours(self, client: httpx.AsyncClient) -> bool:
        response = await client.get("/v1/models")
        names = _served_names(response)
        if self.served_name in names:
            return True
        if response.is_server_error:
            self.seen = f"/v1/models answered {response.status_code}"
            return False
        said = f"serves {', '.join(names)}" if names else f"answers {response.status_code}"
        raise LaunchError(
            Failure(
                kind=FailureKind.PORT_IN_USE,
                evidence=f"another server is at {self.url}: it {said}",
                advice="End it, or leave engine.port out: a free port is taken then.",
            )
        )

    async def _completes(self, client: httpx.AsyncClient) -> bool:
        self.seen = "it listened, and its first completion did not come"
        body = {
            "model": self.served_name,
            "prompt": _PROMPT,
            "max_tokens": _TOKENS,
            "temperature": 0,
            "ignore_eos": True,
        }
        response = await client.post("/v1/completions", json=body, timeout=None)
        if response.is_server_error:
            self.seen = f"its first completion answered {response.status_code}: {response.text[:200]}"
            return False
        if response.is_success and _completion_tokens(response) == _TOKENS:
            return True
        raise LaunchError(
            Failure(
                kind=FailureKind.UNKNOWN,
                evidence=f"the first completion of {_TOKENS} tokens was answered {response.status_code}: "
                + " ".join(response.text[:200].split()),
                advice="Read the launch's log.",
            )
        )


def _served_names(response: httpx.Response) -> list[str]:
    try:
        return [str(model["id"]) for model in response.json()["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _completion_tokens(response: httpx.Response) -> int | None:
    try:
        return int(response.json()["usage"]["completion_tokens"])
    except (ValueError, KeyError, TypeError):
        return None
