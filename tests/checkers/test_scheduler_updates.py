"""Updates of a running scheduler: by difference, and nothing left of what is gone."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import Target
from checkers.health import State
from checkers.timing import Timing
from checkers.view import Changes
from tests.checkers.scripted import KEY, World, healthy, refused
from tests.checkers.virtual_time import run_virtual


def test_an_update_leaves_unchanged_checks_and_probes_under_way_alone() -> None:
    async def takes_a_while(_: Target) -> bool:
        await asyncio.sleep(0.3)
        return True

    async def main() -> None:
        undisturbed, updated = World(takes_a_while), World(takes_a_while)
        for world in (undisturbed, updated):
            async with world.running(world.checks(3), initially_up={KEY}):
                for _ in range(300):
                    await asyncio.sleep(0.1)
                    if world is updated:
                        changes = world.scheduler.update(world.checks(3), initially_up=set())
                        assert changes == Changes(added=0, changed=0, removed=0, unchanged=3)
        assert len(undisturbed.results) == len(updated.results) >= 3 * 14
        assert undisturbed.scheduler.view(KEY).failed == updated.scheduler.view(KEY).failed == 0

    run_virtual(main())


def test_a_changed_check_keeps_its_state_and_starts_counting_anew() -> None:
    async def main() -> None:
        world = World(refused)
        checks = world.checks(1, Timing(interval=10, fall=2))
        async with world.running(checks, initially_up={KEY}):
            await world.scheduler.first_round.wait()
            checks = {KEY: replace(checks[KEY], timing=Timing(fall=3))}
            changes = world.scheduler.update(checks)
            assert (changes.changed, changes.unchanged) == (1, 0)
            view = world.scheduler.view(KEY)
            assert (view.state, view.failures, view.failed) == (State.UP, 0, 1)
            await asyncio.sleep(10)
            assert world.scheduler.view(KEY).state is State.DOWN
        assert world.transitions[0][1].sentence.startswith("3 failures in a row")

    run_virtual(main())


def test_a_key_that_moves_to_another_address_is_another_server() -> None:
    async def main() -> None:
        world = World(healthy)
        checks = world.checks(1)
        async with world.running(checks, initially_up={KEY}):
            await world.scheduler.first_round.wait()
            moved = replace(checks[KEY], target=Target(ip_address("10.9.9.9"), 80))
            world.scheduler.update({KEY: moved})
            assert world.scheduler.view(KEY).state is State.UNKNOWN

    run_virtual(main())


@pytest.mark.parametrize("change", ["removed", "changed"])
def test_a_probe_under_way_for_what_is_gone_is_cancelled_and_not_heard(change: str) -> None:
    cancelled = []

    async def hangs(target: Target) -> bool:
        try:
            await asyncio.sleep(0.9)
        except asyncio.CancelledError:
            cancelled.append(str(target.address))
            raise
        return False

    async def main() -> None:
        world = World(hangs)
        checks = world.checks(1, Timing(fall=1))
        async with world.running(checks, initially_up={KEY}):
            await world.first_probe.wait()
            changed = {KEY: replace(checks[KEY], options=replace(world.options, port=81))}
            world.scheduler.update({} if change == "removed" else changed)
            await asyncio.sleep(0.5)
            assert cancelled == [KEY]
            assert world.results == []
            await asyncio.sleep(10)
        if change == "removed":
            assert world.results == []
            with pytest.raises(KeyError):
                world.scheduler.view(KEY)
        else:
            assert [transition.after for _, transition in world.transitions] == [State.DOWN]

    run_virtual(main())


def test_a_check_removed_in_the_moment_its_probe_starts_leaves_nothing_behind() -> None:
    async def main() -> None:
        world = World(healthy)
        async with world.running({}):
            for _ in range(50):  # the timer fires and the update comes before the task's first step
                world.scheduler.update(world.checks(1))
                world.runner._wake()
                world.scheduler.update({})
                await asyncio.sleep(0.02)
            assert world.scheduler.in_flight == 0

    run_virtual(main())


def test_update_before_run_may_be_corrected() -> None:
    async def main() -> None:
        world = World(healthy)
        world.scheduler.update(world.checks(5))
        async with world.running(world.checks(2)):
            await world.scheduler.first_round.wait()
            assert len(world.scheduler.states()) == 2

    run_virtual(main())
