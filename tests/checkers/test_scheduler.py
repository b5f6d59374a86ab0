"""The scheduler on a virtual clock: spread, deadlines, bounds, errors told apart."""

import asyncio
from itertools import pairwise

import pytest

from checkers import limits
from checkers.base import ProbeError, Target
from checkers.health import State, Transition
from checkers.scheduler import Scheduler
from checkers.timing import Timing
from tests.checkers.scripted import KEY, World, healthy, refused
from tests.checkers.virtual_time import run_virtual


def test_many_checks_keep_their_interval_and_are_spread_over_it() -> None:
    async def main() -> None:
        world = World(healthy)
        async with world.running(world.checks(1000, Timing(interval=10))):
            await asyncio.sleep(100)
        settled = [(at, name) for at, name in world.started if at >= 1020]
        per_second = [0] * 10
        for at, _ in settled:
            per_second[int(at) % 10] += 1
        assert min(per_second) > 0.7 * len(settled) / 10
        assert max(per_second) < 1.3 * len(settled) / 10
        times = [at for at in world.times() if at >= 1020]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps == pytest.approx([10.0] * len(gaps), abs=0.01)

    run_virtual(main())


def test_the_first_round_is_quick_and_announced() -> None:
    async def main() -> None:
        world = World(healthy)
        async with world.running(world.checks(50, Timing(interval=60))):
            assert not world.scheduler.first_round.is_set()
            await world.scheduler.first_round.wait()
            assert asyncio.get_running_loop().time() <= 1000 + limits.FIRST_ROUND_S
            assert set(world.scheduler.states().values()) == {State.UP}
            assert len(world.transitions) == 50
        checks = list(world.checks(50))
        assert [key for key, _ in world.transitions] == checks  # neighbours one after the other

    run_virtual(main())


def test_without_checks_the_first_round_is_over_at_once() -> None:
    async def main() -> None:
        world = World(healthy)
        async with world.running({}):
            await asyncio.sleep(10)
            assert world.scheduler.first_round.is_set()

    run_virtual(main())


def test_a_probe_slower_than_its_interval_never_runs_twice_at_once() -> None:
    running = 0

    async def slow(_: Target) -> bool:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(1.2)  # above the interval, below the overrun that is cancelled
        running -= 1
        return True

    async def main() -> None:
        world = World(slow)
        async with world.running(world.checks(1, Timing(interval=1, timeout=1))):
            await asyncio.sleep(20)
        assert world.errors == []
        gaps = [later - earlier for earlier, later in pairwise(world.times()[1:])]
        assert gaps == pytest.approx([2.0] * len(gaps), abs=0.01)

    run_virtual(main())


def test_a_probe_that_ignores_its_deadline_is_cancelled_and_delays_nobody() -> None:
    async def hangs_at_first(target: Target) -> bool:
        if str(target.address) == KEY:
            await asyncio.Event().wait()
        return True

    async def main() -> None:
        world = World(hangs_at_first)
        async with world.running(world.checks(20), initially_up={KEY}):
            await asyncio.sleep(60)
            view = world.scheduler.view(KEY)
        assert (view.state, view.last) == (State.UP, None)
        assert view.error == "the probe did not keep its own deadline of 1 s"
        assert world.errors == [(KEY, view.error)]  # told once, counted always
        assert view.errors >= 25
        assert len(world.times("10.0.0.7")) >= 29

    run_virtual(main())


def test_a_server_that_fails_goes_down_with_its_reason_and_comes_back() -> None:
    answers = iter([True, False, False, False, True, True, True])

    async def scripted(_: Target) -> bool:
        return next(answers, True)

    async def main() -> None:
        world = World(scripted)
        async with world.running(world.checks(1)):
            await asyncio.sleep(30)
            view = world.scheduler.view(KEY)
        told = [(transition.after, transition.sentence) for _, transition in world.transitions]
        assert told == [
            (State.UP, "the first check passed: fine"),
            (State.DOWN, "3 failures in a row, the last: refused"),
            (State.UP, "2 passes in a row, the last: fine"),
        ]
        assert view.sentence == told[-1][1]
        assert view.outlook == "down after 3 failures in a row, 0 so far"
        assert (view.failed, view.failures, view.latency_ms) == (3, 0, 1.0)
        assert [result.healthy for result in view.results].count(False) == 3

    run_virtual(main())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ProbeError("no socket: too many open files (EMFILE)"), None),
        (ZeroDivisionError("a bug"), "unexpected ZeroDivisionError: a bug"),
        (TimeoutError(), "the probe did not keep its own deadline of 1 s"),
    ],
)
def test_a_probe_that_cannot_be_made_says_nothing_of_the_server(
    error: Exception, sentence: str | None
) -> None:
    async def broken(_: Target) -> bool:
        raise error

    async def main() -> None:
        world = World(broken)
        async with world.running(world.checks(2), initially_up={KEY}):
            await asyncio.sleep(60)
            views = [world.scheduler.view(key) for key in (KEY, "10.0.0.1")]
        assert [view.state for view in views] == [State.UP, State.UNKNOWN]
        assert views[0].error == (sentence or str(error))
        assert sorted(key for key, _ in world.errors) == [KEY, "10.0.0.1"]
        assert world.scheduler.first_round.is_set()
        assert world.transitions == []
        assert world.results == []

    run_virtual(main())


def test_the_error_is_forgotten_when_the_probe_can_be_made_again() -> None:
    outcomes = iter([ProbeError("no socket"), None])

    async def recovers(_: Target) -> bool:
        if (error := next(outcomes, None)) is not None:
            raise error
        return True

    async def main() -> None:
        world = World(recovers)
        async with world.running(world.checks(1)):
            await asyncio.sleep(10)
            view = world.scheduler.view(KEY)
        assert (view.error, view.errors, view.state) == (None, 1, State.UP)

    run_virtual(main())


def test_probes_in_flight_are_bounded_and_nobody_starves() -> None:
    async def slow(_: Target) -> bool:
        await asyncio.sleep(0.5)
        return True

    async def main() -> None:
        world = World(slow, in_flight_max=5)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, world.scheduler.in_flight)
                await asyncio.sleep(0.05)

        async with world.running(world.checks(40)), asyncio.TaskGroup() as group:
            watcher = group.create_task(watch())
            await asyncio.sleep(40)
            watcher.cancel()
        assert most == 5
        times = [world.times(f"10.0.0.{number}") for number in range(40)]
        # 40 s x 5 at once / 0.5 s / 40 checks = 10; the first round has an order of its own
        assert 9 <= min(map(len, times)) <= max(map(len, times)) <= 11
        gaps = [after - before for each in times for before, after in pairwise(each)]
        # Nobody waits for longer than a round of 4 s, the interval of 1 s, and the timer's grain.
        assert max(gaps) <= 4 + 1 + 0.05

    run_virtual(main())


def test_a_callback_that_fails_is_told_and_stops_nothing() -> None:
    async def main() -> None:
        errors: list[str] = []

        def fails(_key: str, _transition: Transition) -> None:
            raise RuntimeError("broken wiring")

        world = World(refused)
        world.scheduler = Scheduler(fails, None, lambda _, error: errors.append(str(error)))
        async with world.running(world.checks(1)):
            await asyncio.sleep(10)
        assert errors == ["telling of a result failed: RuntimeError: broken wiring"]
        assert len(world.started) >= 5

    run_virtual(main())


def test_an_error_callback_that_fails_ends_in_the_loops_own_handler() -> None:
    async def broken(_: Target) -> bool:
        raise ProbeError("no socket")

    async def main() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(context["message"])
        )

        def fails(_key: str, _error: ProbeError) -> None:
            raise RuntimeError("broken too")

        world = World(broken)
        world.scheduler = Scheduler(lambda *_: None, None, fails)
        async with world.running(world.checks(1)):
            await asyncio.sleep(10)
        assert told == ["on_error failed for 10.0.0.0: no socket"]

    run_virtual(main())


def test_it_runs_once_and_cancelling_it_leaves_no_probe() -> None:
    async def main() -> None:
        async def hangs(_: Target) -> bool:
            await asyncio.sleep(0.9)
            return True

        world = World(hangs)
        world.scheduler.update(world.checks(10))
        task = asyncio.create_task(world.scheduler.run())
        await world.first_probe.wait()
        with pytest.raises(RuntimeError, match="ran already"):
            await world.scheduler.run()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert world.scheduler.in_flight == 0

    run_virtual(main())
