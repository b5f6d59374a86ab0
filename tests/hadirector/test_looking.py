"""Readings that give way: news first, but not for ever."""

import asyncio

import pytest

from hadirector import limits
from hadirector.drains import LOOK
from hadirector.looking import Looks, may_wait
from hadirector.turns import AUDIT, Asked, TurnRequests


class Reading:
    """A table that takes for ever to read while `hangs`."""

    def __init__(self) -> None:
        self.hangs = asyncio.Event()  # set: it is read at once
        self.begun = 0
        self.ended = 0

    async def read(self) -> str:
        self.begun += 1
        await self.hangs.wait()
        self.ended += 1
        return "table"


@pytest.mark.asyncio
async def test_a_health_change_ends_a_reading_which_is_asked_for_again() -> None:
    requests, reading = TurnRequests[str](), Reading()
    looks = Looks(requests, reading.read)
    asyncio.get_running_loop().call_soon(requests.ask, "health")
    assert not await looks.ahead(Asked())
    assert (await requests.next()).reasons == ["health"]
    looks.make_up()
    assert (await requests.next()).reasons == [AUDIT]
    reading.hangs.set()
    assert await looks.ahead(Asked([AUDIT]))
    assert (reading.begun, reading.ended) == (2, 1)
    looks.make_up()  # nothing is owed any more
    assert (await requests.next(audit_s=0)).reasons == []


@pytest.mark.asyncio
async def test_a_storm_of_news_does_not_put_it_off_for_ever() -> None:
    requests, reading = TurnRequests[str](), Reading()
    looks = Looks(requests, reading.read)
    requests.ask("health")  # and it is never taken
    for _ in range(limits.AUDIT_PUT_OFF_MAX):
        assert not await looks.ahead(Asked([AUDIT]))
    reading.hangs.set()
    assert await looks.ahead(Asked([AUDIT]))


def test_what_may_wait() -> None:
    assert may_wait(Asked())
    assert may_wait(Asked([AUDIT]))
    assert not may_wait(Asked([AUDIT, "health"]))
    assert not may_wait(Asked(["start"]))
    assert may_wait(Asked([LOOK, AUDIT]))
    assert not may_wait(Asked([LOOK]))  # it reads a few services only


@pytest.mark.asyncio
async def test_an_audit_that_somebody_waits_for_may_not() -> None:
    future = asyncio.get_running_loop().create_future()
    assert not may_wait(Asked([AUDIT], [future]))
