"""Signals that end a command's work cleanly."""

import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from tuner.domain.errors import SurroundingsError

SIGNALLED = 128
"""Exit codes by signal begin here."""

T = TypeVar("T")


async def until_signalled(work: Coroutine[Any, Any, T]) -> T | signal.Signals:
    """Run the work; return what it returns, or the signal that ended it.

    Every signal cancels the work: the first ends it cleanly, a second one skips the polite part of that.
    """
    import asyncio

    task = asyncio.ensure_future(work)
    received: list[signal.Signals] = []

    def interrupt(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, a background job: stay as we were started
            loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return received[0]
    except OSError as error:
        raise SurroundingsError(str(error)) from error
