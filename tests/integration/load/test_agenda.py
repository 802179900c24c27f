"""Things that come due, on a real event loop."""

import asyncio
import time

from tuner.load.agenda import Agenda


class Diary:
    """Writes down what was handed over, and when."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, float, str]] = []
        self.agenda = Agenda[str](self.take, time.monotonic)

    def take(self, at: float, thing: str) -> None:
        self.entries.append((at, time.monotonic(), thing))

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.entries) < count:  # noqa: ASYNC110  # the event loop itself is what is tested
                await asyncio.sleep(0.002)
        return [thing for _, _, thing in self.entries]


async def test_things_come_in_the_order_of_their_moments_and_never_early():
    diary, now = Diary(), time.monotonic()
    for delay, thing in ((0.03, "third"), (0.01, "first"), (0.02, "second"), (0.02, "second too"), (-1.0, "past")):
        diary.agenda.add(now + delay, thing)
    assert await diary.until(5) == ["past", "first", "second", "second too", "third"]
    assert all(at <= taken for at, taken, _ in diary.entries)
    assert [round(at - now, 3) for at, _, _ in diary.entries] == [-1.0, 0.01, 0.02, 0.02, 0.03]
    assert diary.agenda.close() == []


async def test_what_is_taken_may_add_more():
    class Chain(Diary):
        def take(self, at: float, thing: str) -> None:
            super().take(at, thing)
            if len(self.entries) < 4:
                self.agenda.add(at + 0.001, thing + "'")

    diary = Chain()
    diary.agenda.add(time.monotonic(), "a")
    assert await diary.until(4) == ["a", "a'", "a''", "a'''"]
    diary.agenda.close()


async def test_a_closed_agenda_hands_nothing_over_and_says_what_was_left():
    diary, now = Diary(), time.monotonic()
    for delay in (0.02, 0.01):
        diary.agenda.add(now + delay, f"{delay}")
    assert len(diary.agenda) == 2
    assert diary.agenda.close() == [(now + 0.01, "0.01"), (now + 0.02, "0.02")]
    await asyncio.sleep(0.04)
    assert diary.entries == []
