"""Owns the load generator's process: one job from standard input, lines of `tuner.load.wire` to standard output.

Started as `python -m tuner.load.worker`. It has an interpreter and an event loop of its own, so that scraping,
rendering and the database never delay a timestamp. Standard input stays open while the parent lives: its end ends the
worker. The API key comes through the environment variable TUNER_LOAD_API_KEY, since arguments are visible to everyone.
"""

import asyncio
import faulthandler
import os
import resource
import sys

import uvloop

from tuner.domain.errors import TunerError
from tuner.domain.load import LoadJob, LoadResult
from tuner.load.generator import generate
from tuner.load.wire import API_KEY, OVERTIME_S, progress_line, result_lines

_ORPHANED = 3


def main() -> int:
    """Run the job on standard input; returns the exit code."""
    job = LoadJob.model_validate_json(sys.stdin.buffer.readline())
    faulthandler.dump_traceback_later(job.deadline_s + OVERTIME_S, exit=True)
    _allow_many_connections()
    try:
        result = uvloop.run(_generate(job, os.environ.get(API_KEY, "")))
    except asyncio.CancelledError:
        return _ORPHANED
    except TunerError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")  # one line: it is shown as the failure's evidence
        return error.exit_code
    for line in result_lines(result):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return 0


async def _generate(job: LoadJob, api_key: str) -> LoadResult:
    work = asyncio.ensure_future(generate(job, api_key=api_key, on_progress=_write_progress))
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _cancel_at_end_of_input, work)
    try:
        return await work
    finally:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


def _cancel_at_end_of_input(work: asyncio.Future[LoadResult]) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        work.cancel()


def _write_progress(done: int, total: int) -> None:
    sys.stdout.buffer.write(progress_line(done, total))
    sys.stdout.buffer.flush()


def _allow_many_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
