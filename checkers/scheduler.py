"""Runs all checks: the hands around the timetable and the rise/fall machines.

The problem: tens of thousands of probes, each of which may hang, must neither delay one another nor
the process they live in. The approach: one timetable and one timer for all of them, one task per
probe under way, a bound on how many those are. A probe keeps its own deadline, and is cancelled if
it overruns that.

Three things can come of a probe. A result goes to the check's machine, and only a transition is
news. A probe that could not be made says nothing about the server: the state stays, `on_error` is
told when the reason is new, and the view shows it. An exception that nobody expected is treated as
the latter, and never stops the others.

One owner: everything here is called from, and calls back into, one event loop. Callbacks are plain
functions and quick; what takes time is theirs to hand on. Must never log, or do anything per pass
beyond counting it.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from checkers import limits
from checkers.base import Check, ProbeError, Result
from checkers.health import Health, State, Transition
from checkers.history import History
from checkers.timetable import Timetable

OnTransition = Callable[[str, Transition], None]
OnResult = Callable[[str, Result], None]
OnError = Callable[[str, ProbeError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """All there is to say about one check, at one moment."""

    check: Check
    state: State
    since: float
    """Unix time since when the state holds."""
    sentence: str
    """Why the state is what it is."""
    outlook: str
    """What would change it, such as "up after 2 passes in a row, 1 so far"."""
    passes: int
    """Passes in a row, up to now."""
    failures: int
    """Failures in a row, up to now."""
    passed: int
    """Passes altogether."""
    failed: int
    """Failures altogether."""
    errors: int
    """Probes that could not be made, altogether."""
    error: str | None
    """Why the last probe could not be made; None if it could."""
    last: Result | None
    """The newest result."""
    results: tuple[Result, ...]
    """The last results, oldest first, failures kept longest."""

    @property
    def latency_ms(self) -> float | None:
        """That of the newest result."""
        return None if self.last is None else self.last.latency_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an update did, in numbers of checks."""

    added: int
    changed: int
    removed: int
    unchanged: int


class _Entry:
    """One check under way. Replaced, not changed, when its definition changes."""

    __slots__ = ("check", "endpoint", "error", "errors", "health", "history", "probe", "task")

    def __init__(self, check: Check, health: Health, history: History) -> None:
        self.check = check
        self.endpoint = check.endpoint
        self.probe = check.options.make_probe()
        self.health = health
        self.history = history
        self.errors = 0
        self.error: str | None = None
        self.task: asyncio.Task[None] | None = None


class Scheduler:
    """Probes every check in its turn and tells of transitions. Call `update`, then await `run`."""

    def __init__(
        self,
        on_transition: OnTransition,
        on_result: OnResult | None = None,
        on_error: OnError | None = None,
        *,
        in_flight_max: int | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` gives Unix time in seconds; times of probes come from the event loop's clock.

        `in_flight_max` bounds the probes under way; by default as many as descriptors allow.
        """
        self._on_transition = on_transition
        self._on_result = on_result
        self._on_error = on_error
        self._wall = wall
        self._in_flight_max = in_flight_max or _in_flight_max()
        self._entries: dict[str, _Entry] = {}
        self._timetable = Timetable()
        self._tasks: set[asyncio.Task[None]] = set()
        self._untried: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # set while running
        self._timer: asyncio.TimerHandle | None = None
        self._closing = asyncio.Event()
        self.first_round = asyncio.Event()
        """Set once every check has been tried; checks added after that do not clear it."""

    @property
    def in_flight(self) -> int:
        """Probes under way."""
        return len(self._tasks)

    def update(
        self, checks: Mapping[str, Check], initially_up: AbstractSet[str] = frozenset()
    ) -> Changes:
        """Make `checks`, by key, the checks that run; may be called before and during `run`.

        Checks that stay as they are go on undisturbed. A check that changed keeps its state while
        it still tests the same address: only results under its new definition take a server out.
        A key that is new and in `initially_up` starts up, any other new one unknown.
        """
        removed = self._entries.keys() - checks.keys()
        for key in removed:
            self._discard(key)
            if self._loop is not None:
                self._timetable.remove(key)
            self._untried.discard(key)
        added = changed = 0
        for key, check in checks.items():
            entry = self._entries.get(key)
            if entry is None:
                added += 1
                self._start_anew(key, check, adopted=key in initially_up)
            elif entry.check != check:
                changed += 1
                self._change(key, entry, check)
        if not self._untried:
            self.first_round.set()
        self._arm()
        unchanged = len(checks) - added - changed
        return Changes(added=added, changed=changed, removed=len(removed), unchanged=unchanged)

    def view(self, key: str) -> CheckView:
        """Everything about one check. Raises KeyError if there is no such check."""
        entry = self._entries[key]
        health = entry.health
        return CheckView(
            check=entry.check,
            state=health.state,
            since=health.since,
            sentence=health.sentence,
            outlook=health.outlook,
            passes=health.passes,
            failures=health.failures,
            passed=entry.history.passed,
            failed=entry.history.failed,
            errors=entry.errors,
            error=entry.error,
            last=entry.history.last(),
            results=entry.history.results(),
        )

    @property
    def views(self) -> Mapping[str, CheckView]:
        """All of them, each made when it is looked at."""
        return _Views(self._entries, self.view)

    def states(self) -> dict[str, State]:
        """The state of every check, by key."""
        return {key: entry.health.state for key, entry in self._entries.items()}

    async def run(self) -> None:
        """Probe until `aclose` or cancellation; then no probe is left. May run once only."""
        if self._loop is not None or self._closing.is_set():
            raise RuntimeError("this scheduler ran already")
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        for key, entry in self._entries.items():
            self._timetable.add(key, entry.check.timing.interval, now)
        self._arm()
        try:
            await self._closing.wait()
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Make `run` end, and wait until no probe is under way."""
        self._closing.set()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _start_anew(self, key: str, check: Check, *, adopted: bool) -> None:
        health = Health(check.timing, since=self._wall(), adopted=adopted)
        self._entries[key] = _Entry(check, health, History())
        if not self.first_round.is_set():
            self._untried.add(key)
        self._enter(key, check)

    def _change(self, key: str, entry: _Entry, check: Check) -> None:
        self._discard(key)
        if check.target.address != entry.check.target.address:
            self._start_anew(key, check, adopted=False)
            return
        entry.health.revise(check.timing)
        self._entries[key] = _Entry(check, entry.health, entry.history)
        self._enter(key, check)

    def _enter(self, key: str, check: Check) -> None:
        if self._loop is not None:  # else `run` enters all of them
            self._timetable.add(key, check.timing.interval, self._loop.time())

    def _discard(self, key: str) -> None:
        entry = self._entries.pop(key)
        if entry.task is not None:
            entry.task.cancel()

    def _arm(self) -> None:
        """Set the one timer to the next probe due; none while there is no room for it."""
        if self._loop is None:
            return
        due = self._timetable.next_due() if len(self._tasks) < self._in_flight_max else None
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        if self._loop is None:
            return
        room = self._in_flight_max - len(self._tasks)
        soon = self._loop.time() + limits.TIMER_GRAIN_S
        for key in self._timetable.take(soon, min(room, limits.PROBE_STARTS_PER_WAKE_MAX)):
            entry = self._entries[key]
            entry.task = self._loop.create_task(self._attend(key, entry))
            entry.task.add_done_callback(partial(self._ended, key, entry))
            self._tasks.add(entry.task)
        self._arm()

    async def _attend(self, key: str, entry: _Entry) -> None:
        """One probe, from its start to what is told of it."""
        outcome = await self._probe(entry)
        if self._entries.get(key) is entry:
            self._settle(key, entry, outcome)

    def _ended(self, key: str, entry: _Entry, task: asyncio.Task[None]) -> None:
        """A callback and not the end of `_attend`: a task cancelled at once never runs at all."""
        self._tasks.discard(task)
        entry.task = None
        if self._loop is None:
            return
        if self._entries.get(key) is entry:
            self._timetable.done(key, self._loop.time())
        self._arm()

    async def _probe(self, entry: _Entry) -> Result | ProbeError:
        timeout_s = entry.check.timing.timeout
        try:
            async with asyncio.timeout(timeout_s + limits.PROBE_OVERRUN_S):
                return await entry.probe.probe(entry.endpoint, timeout_s)
        except ProbeError as error:
            return error
        except TimeoutError:
            return ProbeError(f"the probe did not keep its own deadline of {timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - the task's boundary; told by `on_error`
            unexpected = ProbeError(f"unexpected {type(error).__name__}: {error}")
            unexpected.__cause__ = error
            return unexpected

    def _settle(self, key: str, entry: _Entry, outcome: Result | ProbeError) -> None:
        try:
            if isinstance(outcome, Result):
                self._take(key, entry, outcome)
            else:
                self._take_error(key, entry, outcome)
        except Exception as error:  # noqa: BLE001 - the task's boundary; told by `on_error`
            broken = ProbeError(f"telling of a result failed: {type(error).__name__}: {error}")
            broken.__cause__ = error
            self._tell_error(key, broken)
        if self._untried:
            self._untried.discard(key)
            if not self._untried:
                self.first_round.set()

    def _take(self, key: str, entry: _Entry, result: Result) -> None:
        entry.error = None
        entry.history.add(result)
        transition = entry.health.handle(result)
        if transition is not None:
            self._on_transition(key, transition)
        if self._on_result is not None:
            self._on_result(key, result)

    def _take_error(self, key: str, entry: _Entry, error: ProbeError) -> None:
        entry.errors += 1
        is_news = str(error) != entry.error
        entry.error = str(error)
        if is_news:
            self._tell_error(key, error)

    def _tell_error(self, key: str, error: ProbeError) -> None:
        try:
            if self._on_error is not None:
                self._on_error(key, error)
        except Exception as broken:  # noqa: BLE001 - the last resort is the loop's own handler
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"on_error failed for {key}: {error}", "exception": broken}
            )


class _Views(Mapping[str, CheckView]):
    """What `view` says, by key."""

    def __init__(self, entries: Mapping[str, _Entry], view: Callable[[str], CheckView]) -> None:
        self._entries = entries
        self._view = view

    def __getitem__(self, key: str) -> CheckView:
        return self._view(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _in_flight_max() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.PROBES_IN_FLIGHT_MAX
    return max(1, min(limits.PROBES_IN_FLIGHT_MAX, soft - limits.DESCRIPTORS_RESERVED))
