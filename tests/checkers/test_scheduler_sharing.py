"""Identical checks are probed once, each with a verdict of its own; intervals follow the state."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import pytest

from checkers.base import Target
from checkers.check import Check
from checkers.health import State
from checkers.ping import PingOptions
from checkers.scheduler import Scheduler
from checkers.timing import Timing
from tests.checkers.scripted import KEY, World, healthy, refused
from tests.checkers.virtual_time import run_virtual


def named(check: Check, *keys: str) -> dict[str, Check]:
    return {key: replace(check, key=key) for key in keys}


def test_what_is_asked_twice_is_probed_once_and_told_to_both() -> None:
    async def main() -> None:
        world = World(healthy)
        (check,) = world.checks(1).values()
        async with world.running(named(check, "a/s", "b/s")):
            await asyncio.sleep(20)
            assert world.scheduler.probes == 1
        assert len(world.results) == 2 * len(world.started)
        assert {key for key, _ in world.results} == {"a/s", "b/s"}
        assert [key for key, _ in world.transitions] == ["a/s", "b/s"]

    run_virtual(main())


def test_a_sharer_counts_for_itself_and_the_other_is_not_disturbed() -> None:
    async def main() -> None:
        world = World(refused)
        (check,) = world.checks(1).values()
        async with world.running(named(check, "a/s"), initially_up={"a/s"}):
            await world.first_probe.wait()
            await asyncio.sleep(0.01)
            world.scheduler.update(named(check, "a/s", "b/s"), {"a/s", "b/s"})
            assert world.scheduler.view("a/s").failures == 1
            assert world.scheduler.view("b/s").failures == 0
            await asyncio.sleep(20)
            assert set(world.scheduler.states().values()) == {State.DOWN}
            world.scheduler.update(named(check, "b/s"))
            before = len(world.started)
            await asyncio.sleep(20)
            assert len(world.started) > before
            with pytest.raises(KeyError):
                world.scheduler.view("a/s")

    run_virtual(main())


def test_another_timing_or_service_is_another_probe() -> None:
    scheduler = Scheduler(lambda *_: None)
    world = World(healthy)
    (check,) = world.checks(1).values()
    slower = replace(check, timing=Timing(interval=5.0))
    scheduler.update({"a": check, "b": slower, "c": replace(check, key="c")})
    assert scheduler.probes == 2
    served = replace(check, target=replace(check.target, service="web"))
    assert served.digest == check.digest  # a kind that does not tell the service on


def test_a_host_is_pinged_once_for_all_its_services() -> None:
    scheduler = Scheduler(lambda *_: None)
    host = ip_address("192.0.2.9")
    pings = {str(port): Check(str(port), Target(host, port), PingOptions()) for port in (80, 443)}
    scheduler.update(pings)
    assert scheduler.probes == 1
    assert {ping.describe() for ping in pings.values()} == {"ping at 192.0.2.9"}


def gaps_of(world: World) -> list[float]:
    return [round(later - earlier, 2) for earlier, later in pairwise(world.times())]


def test_intervals_follow_the_state() -> None:
    answers = iter([True] * 5 + [False] * 3 + [False] * 4 + [True] * 2)

    async def scripted(_: Target) -> bool:
        return next(answers, True)

    async def main() -> None:
        world = World(scripted)
        timing = Timing(interval=4, timeout=1, fast_interval=1, down_interval=8, spread=0.0)
        async with world.running(world.checks(1, timing)):
            await asyncio.sleep(90)
        gaps = gaps_of(world)
        # Up: 4 s; failing: 1 s twice; down: 8 s; passing again: 1 s; then 4 s as before.
        assert gaps[1:4] == [4, 4, 4]
        assert gaps[5:7] == [1, 1]
        assert gaps[8:11] == [8, 8, 8]
        assert gaps[-3:] == [4, 4, 4]
        assert gaps.count(1) >= 3

    run_virtual(main())


def test_without_spread_all_probe_at_the_same_moment() -> None:
    async def main() -> None:
        world = World(healthy)
        async with world.running(world.checks(50, Timing(interval=10, spread=0.0))):
            await asyncio.sleep(100)
        moments = {round(at, 1) for at, _ in world.started if at > 1020}
        assert len(moments) <= 9

    run_virtual(main())


def test_one_that_is_held_comes_back_only_when_resumed() -> None:
    answers = iter([True] + [False] * 3)

    async def scripted(_: Target) -> bool:
        return next(answers, True)

    async def main() -> None:
        world = World(scripted)
        async with world.running(world.checks(1, Timing(manual_resume=True))):
            await asyncio.sleep(60)
            view = world.scheduler.view(KEY)
            assert (view.state, view.held_since) == (State.DOWN, world.transitions[-1][1].at)
            assert view.passes > 10
            assert "waits for manual resume since" in view.outlook
            assert world.scheduler.resume(KEY)
            assert world.scheduler.view(KEY).state is State.UP  # it had passed long enough
            assert not world.scheduler.resume(KEY)
        assert [each.after for _, each in world.transitions] == [State.UP, State.DOWN, State.UP]

    run_virtual(main())


def test_what_was_remembered_goes_on_where_it_was() -> None:
    async def main() -> None:
        world = World(refused)
        checks = world.checks(1, Timing(interval=2))
        async with world.running(checks, initially_up={KEY}):
            await asyncio.sleep(3)
            memories = world.scheduler.memories()
        other = World(refused)
        other.options = world.options
        other.scheduler.update(other.checks(1, Timing(interval=2)), {KEY}, memories)
        before, after = world.scheduler.view(KEY), other.scheduler.view(KEY)
        assert (after.failures, after.failed) == (before.failures, before.failed)
        assert after.failures >= 1
        assert [one.sentence for one in after.results] == [one.sentence for one in before.results]
        changed = World(refused)
        changed.scheduler.update(changed.checks(1, Timing(interval=3)), {KEY}, memories)
        assert changed.scheduler.view(KEY).failures == 0  # another digest: another check

    run_virtual(main())
