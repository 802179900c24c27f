"""Owns the life of a load worker: starts it, reads what it says, and leaves none behind. Sends no request itself."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from tuner.domain.errors import LaunchError
from tuner.domain.failure import Failure, FailureKind
from tuner.domain.load import LoadJob, LoadResult, RequestRecord
from tuner.domain.secrets import blanked
from tuner.load.wire import API_KEY, LONGEST_LINE, OVERTIME_S, Assembly, Done

WORKER = (sys.executable, "-P", "-m", "tuner.load.worker")
"""The command of a load worker; -P keeps the current directory out of its import path."""


_PATIENCE_S = OVERTIME_S + 30.0
"""The worker ends itself before, and says where it was."""


async def run_job(
    job: LoadJob,
    *,
    api_key: str,
    on_progress: Callable[[int, int], None],
    secrets: Sequence[str] = (),
    command: Sequence[str] = WORKER,
) -> LoadResult:
    """Run a load job in a process of its own and return what it measured.

    Cancelling it kills the worker and waits until it is gone.

    Args:
        job: what to send, where, and when.
        api_key: sent as a bearer token; empty for none.
        on_progress: called a few times a second with requests done and requests in all.
        secrets: what else is blanked where a server's answer repeats it.
        command: the worker's command, replaced by tests.

    Raises:
        LaunchError: the worker failed (`CLIENT_FAILED`); its evidence is the last line of the worker's stderr.
    """
    async with _worker(command, api_key) as process:
        lines = asyncio.create_task(_last_line(process.stderr))
        try:
            async with asyncio.timeout(job.deadline_s + _PATIENCE_S):
                result = await _converse(process, job, on_progress)
                code = await process.wait()
            if result is None:
                raise LaunchError(_failure(code, await lines))
        except TimeoutError as error:
            raise LaunchError(_failure(0, "the load generator did not end")) from error
        finally:
            lines.cancel()
        known = (*secrets, api_key) if api_key else secrets
        return replace(result, records=tuple(_without_secrets(record, known) for record in result.records))


def _without_secrets(record: RequestRecord, secrets: Sequence[str]) -> RequestRecord:
    return replace(record, error=blanked(record.error, secrets)) if record.error else record


@contextlib.asynccontextmanager
async def _worker(command: Sequence[str], api_key: str) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=LONGEST_LINE,
        env=os.environ | {API_KEY: api_key},
        start_new_session=True,  # a terminal's Ctrl-C is the tuner's to handle, not the worker's
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)  # process.kill() would reap it behind asyncio's back
            await asyncio.shield(process.wait())


async def _converse(process: Process, job: LoadJob, on_progress: Callable[[int, int], None]) -> LoadResult | None:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the worker's pipes were asked for")
    with contextlib.suppress(ConnectionError):  # it died at once: its stderr says why
        process.stdin.write(job.model_dump_json().encode() + b"\n")
        await process.stdin.drain()
    assembly = Assembly()
    async for line in process.stdout:
        news = assembly.take(line)
        if isinstance(news, Done):
            on_progress(news.done, news.total)
    return assembly.result


async def _last_line(stream: asyncio.StreamReader | None) -> str:
    last = b""
    async for line in stream or ():
        last = line.strip() or last
    return last.decode(errors="replace")


def _failure(code: int, evidence: str) -> Failure:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Failure(
        kind=FailureKind.CLIENT_FAILED,
        evidence=evidence or f"the load generator ended with {how} and said nothing",
        advice="The tuner's own load generator failed, not the server: run the trial again, and report it if it stays.",
    )
