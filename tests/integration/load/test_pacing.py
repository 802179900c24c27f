"""Waking up at a given moment, by the kernel's own timers."""

import asyncio
import time

from tuner.load.pacing import Alarm


class Rings:
    """Collects rings, and waits for them."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self.times.append(time.monotonic())
        self._rung.set()

    async def one(self) -> None:
        async with asyncio.timeout(5):
            await self._rung.wait()
        self._rung.clear()


async def test_it_rings_once_and_never_early():
    rings = Rings()
    alarm = Alarm(rings.ring, time.monotonic)
    at = time.monotonic() + 0.01
    alarm.set(at)
    await rings.one()
    await asyncio.sleep(0.02)
    alarm.close()
    assert len(rings.times) == 1
    assert rings.times[0] >= at


async def test_a_moment_that_has_passed_rings_at_once():
    rings = Rings()
    alarm = Alarm(rings.ring, time.monotonic)
    alarm.set(time.monotonic() - 1)
    await rings.one()
    alarm.close()


async def test_setting_it_again_moves_it_and_cancelling_silences_it():
    rings = Rings()
    alarm = Alarm(rings.ring, time.monotonic)
    alarm.set(time.monotonic() + 60)
    alarm.set(time.monotonic() + 0.001)
    await rings.one()
    alarm.set(time.monotonic() + 0.005)
    alarm.cancel()
    await asyncio.sleep(0.02)
    assert len(rings.times) == 1
    alarm.close()
    alarm.close()


async def test_it_can_be_set_from_its_own_ring():
    rings = Rings()

    def again() -> None:
        rings.ring()
        if len(rings.times) < 3:
            alarm.set(time.monotonic() + 0.001)

    alarm = Alarm(again, time.monotonic)
    alarm.set(time.monotonic())
    async with asyncio.timeout(5):
        while len(rings.times) < 3:
            await rings.one()
    alarm.close()
