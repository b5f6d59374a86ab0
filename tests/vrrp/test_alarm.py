"""The timer of a group: it rings at the deadline, however often that was moved before."""

import asyncio
import time

import pytest

from vrrp.alarm import Alarm

RINGS_WITHIN_S = 5.0
"""On a busy host; it rings at once on others."""


class Bell:
    """An alarm, and when it rang and woke up."""

    def __init__(self) -> None:
        self.rang: list[float] = []
        self.wakes = 0
        self.rings = asyncio.Event()
        self.alarm = Alarm(time.monotonic, self._ring, self._woken)

    def _ring(self, now: float) -> None:
        self.rang.append(now)
        self.rings.set()

    def _woken(self, late_s: float) -> None:
        assert late_s > -0.001  # the loop's timers may be early by the clock's resolution
        self.wakes += 1

    async def has_rung(self) -> None:
        async with asyncio.timeout(RINGS_WITHIN_S):
            await self.rings.wait()


@pytest.mark.asyncio
async def test_a_deadline_that_moves_on_rings_once_at_its_last_place() -> None:
    bell, began = Bell(), time.monotonic()
    for step in range(1, 51):
        bell.alarm.set(began + 0.004 * step)
    await bell.has_rung()
    assert bell.rang[0] >= began + 0.2
    assert bell.wakes < 5  # where it stood first, and where it should: not once for every move


@pytest.mark.asyncio
async def test_an_earlier_deadline_is_not_slept_through() -> None:
    bell = Bell()
    bell.alarm.set(time.monotonic() + 1000)
    bell.alarm.set(time.monotonic() - 1)
    await bell.has_rung()
    assert len(bell.rang) == bell.wakes == 1


@pytest.mark.asyncio
async def test_without_a_deadline_it_is_silent() -> None:
    silent, bell = Bell(), Bell()
    due = time.monotonic() + 0.01
    silent.alarm.set(due)
    silent.alarm.set(None)
    bell.alarm.set(due + 0.02)
    await bell.has_rung()
    assert silent.wakes == 0
