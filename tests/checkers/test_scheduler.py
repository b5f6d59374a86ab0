"""The scheduler on a virtual clock with scripted probes: spread, deadlines, bounds, updates."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import pairwise

import pytest

from checkers import limits
from checkers.base import Check, CheckOptions, Probe, ProbeError, Reason, Result, Target, Timing
from checkers.health import State, Transition
from checkers.scheduler import Changes, Scheduler
from tests.checkers.virtual_time import run_virtual

Script = Callable[[Target], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted(CheckOptions):
    """Options whose probe does what the test says, and writes down when."""

    script: Script
    started: list[tuple[float, str]]
    first_probe: asyncio.Event

    def make_probe(self) -> Probe:
        return _ScriptedProbe(self)


class _ScriptedProbe:
    def __init__(self, options: Scripted) -> None:
        self._options = options

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        loop = asyncio.get_running_loop()
        self._options.started.append((loop.time(), str(target.address)))
        self._options.first_probe.set()
        healthy = await self._options.script(target)
        return Result(
            healthy=healthy,
            reason=Reason.OK if healthy else Reason.L4_REFUSED,
            sentence="fine" if healthy else "refused",
            latency_ms=1.0,
            at=loop.time(),
        )


class World:
    """A scheduler, and everything it told."""

    def __init__(self, script: Script, *, in_flight_max: int | None = None) -> None:
        self.started: list[tuple[float, str]] = []
        self.first_probe = asyncio.Event()
        self.transitions: list[tuple[str, Transition]] = []
        self.results: list[tuple[str, Result]] = []
        self.errors: list[tuple[str, str]] = []
        self.options = Scripted(script=script, started=self.started, first_probe=self.first_probe)
        self.scheduler = Scheduler(
            lambda key, transition: self.transitions.append((key, transition)),
            lambda key, result: self.results.append((key, result)),
            lambda key, error: self.errors.append((key, str(error))),
            in_flight_max=in_flight_max,
            wall=lambda: 7.0,
        )

    def checks(self, number: int, timing: Timing = Timing()) -> dict[str, Check]:  # noqa: B008
        base = int(ip_address("10.0.0.0"))
        targets = [Target(ip_address(base + offset), 80) for offset in range(number)]
        return {
            str(target.address): Check(str(target.address), target, self.options, timing)
            for target in targets
        }

    def times(self, address: str = "10.0.0.0") -> list[float]:
        return [at for at, name in self.started if name == address]

    @asynccontextmanager
    async def running(
        self, checks: Mapping[str, Check], initially_up: Set[str] = frozenset()
    ) -> AsyncIterator[None]:
        self.scheduler.update(checks, initially_up)
        task = asyncio.create_task(self.scheduler.run())
        try:
            yield
        finally:
            await self.scheduler.aclose()
            await task
            assert self.scheduler.in_flight == 0


async def healthy(_: Target) -> bool:
    return True


async def refused(_: Target) -> bool:
    return False


KEY = "10.0.0.0"


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
        counts = [len(world.times(f"10.0.0.{number}")) for number in range(40)]
        assert min(counts) >= max(counts) - 1 >= 8  # 40 s x 5 at once / 0.5 s / 40 checks = 10

    run_virtual(main())


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
                world.scheduler._wake()
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
