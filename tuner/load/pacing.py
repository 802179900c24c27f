"""Owns waking up at a given moment, to within the scheduler's own latency. Knows nothing of requests.

An event loop's timers are too coarse to send by: libuv, below uvloop, counts whole milliseconds. Linux's timerfd counts
nanoseconds and is one more file descriptor to the loop. Python has it from 3.13 on; libc has it for all.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable

Clock = Callable[[], float]

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_SOONEST = 1e-9
"""Seconds; zero would disarm the timer."""


class _TimerSpec(ctypes.Structure):
    """A `struct itimerspec`, laid out flat: a ring costs less this way."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "seconds", "nanoseconds"))
    seconds: int
    nanoseconds: int


_libc = ctypes.CDLL(None, use_errno=True)
_settime = _libc.timerfd_settime
_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class Alarm:
    """Rings once at a moment of the clock; setting it again moves it. Close it when it is no longer needed."""

    def __init__(self, ring: Callable[[], None], clock: Clock) -> None:
        """Call `ring` on the running event loop.

        Raises:
            OSError: the kernel gives no more file descriptors.
        """
        self._ring = ring
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._spec = _TimerSpec()
        self._spec_at = ctypes.addressof(self._spec)
        self._fd = int(_libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "timerfd_create")
        self._loop.add_reader(self._fd, self._on_time)

    def set(self, at: float) -> None:
        """Ring at this moment, or at once where it has passed."""
        self._arm(max(at - self._clock(), _SOONEST))

    def cancel(self) -> None:
        """Don't ring."""
        self._arm(0.0)

    def close(self) -> None:
        """Never ring again."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _arm(self, delay: float) -> None:
        spec = self._spec
        spec.seconds = whole = int(delay)
        spec.nanoseconds = int((delay - whole) * 1e9)
        if self._fd >= 0:
            _settime(self._fd, 0, self._spec_at, None)

    def _on_time(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between the ring and now: it rings again
            return
        self._ring()
