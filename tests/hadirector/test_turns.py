"""The mailbox of turns: many reasons make one turn, waiters hear what came of it."""

import asyncio

import pytest

from hadirector.reconciler import Turn
from hadirector.turns import AUDIT, TurnRequests

DONE = Turn(why="", at=0.0, steps=(), drift=(), failures=(), kept=(), oddities=(), sentence="done")


@pytest.mark.asyncio
async def test_reasons_collect_into_one_turn() -> None:
    requests = TurnRequests[Turn]()
    for why in ("health", "reload", "health"):
        requests.ask(why)
    assert (await requests.next()).why == "health, reload"


@pytest.mark.asyncio
async def test_nobody_asking_makes_an_audit() -> None:
    assert (await TurnRequests[Turn]().next(0.001)).why == AUDIT


@pytest.mark.asyncio
async def test_who_waits_hears_the_turn_or_its_error() -> None:
    requests = TurnRequests[Turn]()
    waiting = asyncio.create_task(requests.ask_and_wait("reload"))
    (await requests.next(10)).done(DONE)
    assert await waiting is DONE
    waiting = asyncio.create_task(requests.ask_and_wait("reload"))
    (await requests.next(10)).fail(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await waiting


@pytest.mark.asyncio
async def test_who_has_stopped_waiting_is_passed_over() -> None:
    requests = TurnRequests[Turn]()
    gone = asyncio.create_task(requests.ask_and_wait("reload"))
    patient = asyncio.create_task(requests.ask_and_wait("reload"))
    asked = await requests.next()
    gone.cancel()
    await asyncio.wait([gone])
    asked.done(DONE)
    assert await patient is DONE


@pytest.mark.asyncio
async def test_work_that_may_wait_ends_when_somebody_asks_and_its_error_is_told() -> None:
    requests = TurnRequests[Turn]()

    async def done() -> int:
        return 7

    async def broken() -> int:
        raise ValueError("broken")

    assert await requests.unless_asked(done()) == 7
    with pytest.raises(ValueError, match="broken"):
        await requests.unless_asked(broken())
    endless = asyncio.Event()
    asyncio.get_running_loop().call_soon(requests.ask, "health")
    assert await requests.unless_asked(endless.wait()) is None
    assert (await requests.next()).reasons == ["health"]
