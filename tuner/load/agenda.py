"""Owns what is due when: holds things until their time has come, and hands them over then. Knows no requests."""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from tuner.load.pacing import Alarm, Clock

Thing = TypeVar("Thing")


class Agenda(Generic[Thing]):
    """Things with a moment of the clock each; of the same moment the one that was added first comes first."""

    def __init__(self, hand_over: Callable[[float, Thing], None], clock: Clock) -> None:
        """Call `hand_over` with a thing's moment and the thing, on the running event loop, never early."""
        self._hand_over = hand_over
        self._clock = clock
        self._alarm = Alarm(self._ring, clock)
        self._due: list[tuple[float, int, Thing]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._due)

    def add(self, at: float, thing: Thing) -> None:
        """Hand the thing over at this moment, or as soon as may be where it has passed."""
        self._added += 1
        heapq.heappush(self._due, (at, self._added, thing))
        if self._due[0][1] == self._added:
            self._alarm.set(at)

    def close(self) -> list[tuple[float, Thing]]:
        """Hand nothing over any more; returns what was left, in order."""
        self._alarm.close()
        left = [(at, thing) for at, _, thing in sorted(self._due, key=lambda entry: entry[:2])]
        self._due.clear()
        return left

    def _ring(self) -> None:
        while self._due and self._due[0][0] <= self._clock():
            at, _, thing = heapq.heappop(self._due)
            self._hand_over(at, thing)
        if self._due:
            self._alarm.set(self._due[0][0])
