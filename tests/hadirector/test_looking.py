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
async def test_who_waits_for_an_audit_hears_of_the_one_that_makes_up_for_it() -> None:
    requests, reading = TurnRequests[str](), Reading()
    looks = Looks(requests, reading.read)
    waiting = [asyncio.create_task(requests.ask_and_wait(AUDIT)) for _ in range(2)]
    await asyncio.sleep(0)
    first = await requests.next()
    assert may_wait(first)
    requests.ask("health")
    assert not await looks.ahead(first)
    (await requests.next()).done("health")
    assert not any(each.done() for each in waiting)
    looks.make_up()
    reading.hangs.set()
    again = await requests.next()
    assert again.reasons == [AUDIT]
    assert await looks.ahead(again)
    again.done("audit")
    assert await asyncio.gather(*waiting) == ["audit", "audit"]


@pytest.mark.asyncio
async def test_what_was_put_off_twice_is_owed_whole() -> None:
    requests, reading = TurnRequests[str](), Reading()
    looks = Looks(requests, reading.read)
    waiting = asyncio.create_task(requests.ask_and_wait(AUDIT))
    await asyncio.sleep(0)
    first = await requests.next()
    requests.ask(LOOK)
    assert not await looks.ahead(first)
    requests.ask("health")  # before anything was made up for
    assert not await looks.ahead(Asked([LOOK, AUDIT]))
    assert (await requests.next()).reasons == [LOOK, "health"]
    looks.make_up()
    again = await requests.next()
    assert again.reasons == [AUDIT, LOOK]
    again.done("both")
    assert await waiting == "both"
