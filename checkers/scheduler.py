"""Runs all checks: the hands around the timetable and the rise/fall machines.

The problem: tens of thousands of probes, each of which may hang, must neither delay one another nor
the process they live in. The approach: one timetable and one timer for all of them, and a bound on
how many are under way. A probe that needs no task (`checkers.quick`) is told its deadline by that
timer; any other is a task, keeps its own deadline, and is cancelled if it overruns that.

Three things can come of a probe. A result goes to the check's machine, and only a transition is
news. A probe that could not be made says nothing about the server: the state stays, `on_error` is
told when the reason is new, and the view shows it. An exception that nobody expected is treated as
the latter, and never stops the others.

Checks that are equal but for their key share one run: one probe serves all of them, and each has a
machine of its own, which counts from when it came.

One owner: everything here is called from, and calls back into, one event loop. Callbacks are plain
functions and quick; what takes time is theirs to hand on. Must never log, or do anything per pass
beyond counting it.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from types import MappingProxyType

from checkers import limits
from checkers.base import Check, ProbeError, Result
from checkers.health import Health, State, Transition
from checkers.history import History
from checkers.inverted import inverted
from checkers.memory import Memory, recall
from checkers.poller import Poller
from checkers.quick import Outcome, Place, Quick, Turns
from checkers.runs import Entry, Run
from checkers.timetable import Timetable
from checkers.view import Changes, CheckView, Views

OnTransition = Callable[[str, Transition], None]
OnResult = Callable[[str, Result], None]
OnError = Callable[[str, ProbeError], None]


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
        self._entries: dict[str, Entry] = {}
        self._runs: dict[str, Run] = {}  # by the check's digest
        self._asked: dict[tuple[int, int], str] = {}  # during an update, by options and timing
        self._timetable = Timetable()
        self._turns: Turns | None = None  # set while running
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
        return len(self._tasks) + (0 if self._turns is None else len(self._turns))

    @property
    def probes(self) -> int:
        """Different probes that are made; no more than there are checks."""
        return len(self._runs)

    def update(
        self,
        checks: Mapping[str, Check],
        initially_up: AbstractSet[str] = frozenset(),
        remembered: Mapping[str, Memory] = MappingProxyType({}),
    ) -> Changes:
        """Make `checks`, by key, the checks that run; may be called before and during `run`.

        Checks that stay as they are go on undisturbed. A check that changed keeps its state while
        it still tests the same address: only results under its new definition take a server out.
        A key that is new and in `initially_up` starts up, any other new one as its timing says; one
        that is in `remembered` with the same digest goes on where it was.
        """
        removed = self._entries.keys() - checks.keys()
        for key in removed:
            self._discard(key)
            self._untried.discard(key)
        added = changed = 0
        for key, check in checks.items():
            entry = self._entries.get(key)
            if entry is None:
                added += 1
                self._start_anew(key, check, key in initially_up, remembered.get(key))
            elif entry.check is not check and entry.check != check:
                changed += 1
                self._change(key, entry, check)
        self._asked.clear()  # an id says nothing once its object may be gone
        if not self._untried:
            self.first_round.set()
        self._arm()
        unchanged = len(checks) - added - changed
        return Changes(added=added, changed=changed, removed=len(removed), unchanged=unchanged)

    def resume(self, key: str) -> bool:
        """Hold a check down no longer; whether it was held. Raises KeyError if there is none."""
        entry = self._entries[key]
        was_held = entry.health.held_since is not None
        now = 0.0 if self._loop is None else self._loop.time()
        transition = entry.health.resume(entry.run.history.last(), now)
        if transition is not None:
            self._on_transition(key, transition)
        return was_held

    def memories(self) -> dict[str, Memory]:
        """What is worth keeping across a restart, by key."""
        return {key: entry.memory() for key, entry in self._entries.items()}

    def view(self, key: str) -> CheckView:
        """Everything about one check. Raises KeyError if there is no such check."""
        return self._entries[key].view()

    @property
    def views(self) -> Mapping[str, CheckView]:
        """All of them, each made when it is looked at."""
        return Views(self._entries, self.view)

    def states(self) -> dict[str, State]:
        """The state of every check, by key."""
        return {key: entry.health.state for key, entry in self._entries.items()}

    async def run(self) -> None:
        """Probe until `aclose` or cancellation; then no probe is left. May run once only."""
        if self._loop is not None or self._closing.is_set():
            raise RuntimeError("this scheduler ran already")
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(Poller(self._loop, after=self._arm))
        for run in self._runs.values():
            self._enter(run)
        self._arm()
        try:
            await self._closing.wait()
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
            for run in self._runs.values():
                if run.quick is not None:
                    run.quick.close()
            self._turns.close()
            self._turns = None
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Make `run` end, and wait until no probe is under way."""
        self._closing.set()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _start_anew(
        self, key: str, check: Check, adopted: bool, memory: Memory | None = None
    ) -> None:
        health = Health(check.timing, since=self._wall(), adopted=adopted)
        run = self._join(key, check, health, History())
        if memory is not None and memory.digest == run.digest:
            recall(health, memory)
            if not run.history.last():
                run.history.recall(memory.passed, memory.failed, memory.results)
        if not self.first_round.is_set():
            self._untried.add(key)

    def _change(self, key: str, entry: Entry, check: Check) -> None:
        self._discard(key)
        if check.target.address != entry.check.target.address:
            self._start_anew(key, check, adopted=False)
            return
        entry.health.revise(check.timing)
        self._join(key, check, entry.health, entry.run.history.copy())

    def _join(self, key: str, check: Check, health: Health, history: History) -> Run:
        """Have this check made; the history is for a run that nobody has yet."""
        # Thousands of servers are asked the same by the very same options.
        same = (id(check.options), id(check.timing))
        asked = self._asked.get(same)
        if asked is None:
            asked = self._asked[same] = check.asked
        digest = check.digest_by(asked)
        run = self._runs.get(digest)
        if run is None:
            run = self._runs[digest] = Run(check, digest, history)
        run.healths[key] = health
        self._entries[key] = Entry(check, health, run)
        if not run.under_way:  # else its result comes in a moment
            self._enter(run)
        return run

    def _enter(self, run: Run) -> None:
        if self._loop is not None:  # else `run` enters all of them
            if run.quick is None:
                run.quick = self._quick(run)
            spread_s = run.check.timing.spread
            self._timetable.add(run.digest, run.interval, self._loop.time(), spread_s=spread_s)

    def _discard(self, key: str) -> None:
        entry = self._entries.pop(key)
        run = entry.run
        del run.healths[key]
        if run.healths:
            return
        del self._runs[run.digest]
        if self._loop is not None:
            self._timetable.remove(run.digest)
        if run.task is not None:
            run.task.cancel()
        if run.quick is not None:
            run.quick.close()
            if self._turns is not None:
                self._turns.end(run.quick)

    def _arm(self) -> None:
        """Set the one timer to the next thing due; no probe is while there is no room for it."""
        if self._loop is None or self._turns is None:
            return
        due = self._timetable.next_due() if self.in_flight < self._in_flight_max else None
        deadline = self._turns.next_deadline()
        if deadline is not None and (due is None or deadline < due):
            due = deadline
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        loop, turns = self._loop, self._turns
        if loop is None or turns is None:
            return
        now = loop.time()
        if len(turns):
            turns.poller.poll()  # what was answered while this process slept is no failure
            turns.expire(now)
        room = min(self._in_flight_max - self.in_flight, limits.PROBE_STARTS_PER_WAKE_MAX)
        soon = now + self._timetable.grain_s
        runs = [self._runs[digest] for digest in self._timetable.take(soon, room)]
        for run in runs:
            run.under_way = True
        for number, run in enumerate(runs, 1):
            if self._runs.get(run.digest) is not run:
                continue  # gone by what was told of another one
            if run.quick is None:
                run.task = loop.create_task(self._attend(run))
                run.task.add_done_callback(partial(self._ended, run))
                self._tasks.add(run.task)
                continue
            turns.begin(run.quick, now, run.check.timing.timeout)
            if number % limits.QUICK_STARTS_PER_POLL == 0:
                turns.poller.poll()
        turns.poller.poll()  # on a near network, most are decided by now
        self._arm()

    def _quick(self, run: Run) -> Quick | None:
        assert self._turns is not None
        return run.check.options.make_quick(
            Place(
                target=run.endpoint,
                timeout_s=run.check.timing.timeout,
                poller=self._turns.poller,
                senders=self._turns.senders,
                ended=partial(self._quick_ended, run),
                hurry=partial(self._hurry, run),
            )
        )

    def _quick_ended(self, run: Run, outcome: Outcome) -> None:
        loop, turns = self._loop, self._turns
        if loop is None or turns is None or run.quick is None:
            return
        turns.end(run.quick)
        run.under_way = False
        if self._runs.get(run.digest) is not run:
            return
        if outcome is not None:
            if isinstance(outcome, Result) and run.check.options.inverted:
                outcome = inverted(outcome)
            self._settle(run, outcome)
        if self._runs.get(run.digest) is run:
            self._timetable.done(run.digest, loop.time(), run.interval)

    def _hurry(self, run: Run, pause_s: float) -> bool:
        if self._loop is None or run.under_way or self._runs.get(run.digest) is not run:
            return False
        return self._timetable.hasten(run.digest, self._loop.time() + pause_s)

    async def _attend(self, run: Run) -> None:
        """One probe, from its start to what is told of it."""
        outcome = await self._probe(run)
        if self._runs.get(run.digest) is run:
            self._settle(run, outcome)

    def _ended(self, run: Run, task: asyncio.Task[None]) -> None:
        """A callback and not the end of `_attend`: a task cancelled at once never runs at all."""
        self._tasks.discard(task)
        run.task = None
        run.under_way = False
        if self._loop is None:
            return
        if self._runs.get(run.digest) is run:
            self._timetable.done(run.digest, self._loop.time(), run.interval)
        self._arm()

    async def _probe(self, run: Run) -> Result | ProbeError:
        timeout_s = run.check.timing.timeout
        try:
            async with asyncio.timeout(timeout_s + limits.PROBE_OVERRUN_S):
                return await run.probe.probe(run.endpoint, timeout_s)
        except ProbeError as error:
            return error
        except TimeoutError:
            return ProbeError(f"the probe did not keep its own deadline of {timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - the task's boundary; told by `on_error`
            unexpected = ProbeError(f"unexpected {type(error).__name__}: {error}")
            unexpected.__cause__ = error
            return unexpected

    def _settle(self, run: Run, outcome: Result | ProbeError) -> None:
        is_news = isinstance(outcome, ProbeError) and str(outcome) != run.error
        if isinstance(outcome, Result):
            run.error = None
            run.history.add(outcome)
        else:
            run.errors += 1
            run.error = str(outcome)
        for key in tuple(run.healths):  # a callback may change who is here
            try:
                if isinstance(outcome, Result):
                    self._take(key, run, outcome)
                elif is_news:
                    self._tell_error(key, outcome)
            except Exception as error:  # noqa: BLE001 - the task's boundary; told by `on_error`
                broken = ProbeError(f"telling of a result failed: {type(error).__name__}: {error}")
                broken.__cause__ = error
                self._tell_error(key, broken)
            self._untried.discard(key)
        if not self._untried:
            self.first_round.set()

    def _take(self, key: str, run: Run, result: Result) -> None:
        health = run.healths.get(key)
        if health is None or self._loop is None:
            return
        transition = health.handle(result, self._loop.time())
        if transition is not None:
            self._on_transition(key, transition)
        if self._on_result is not None:
            self._on_result(key, result)

    def _tell_error(self, key: str, error: ProbeError) -> None:
        try:
            if self._on_error is not None:
                self._on_error(key, error)
        except Exception as broken:  # noqa: BLE001 - the last resort is the loop's own handler
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"on_error failed for {key}: {error}", "exception": broken}
            )


def _in_flight_max() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.PROBES_IN_FLIGHT_MAX
    return max(1, min(limits.PROBES_IN_FLIGHT_MAX, soft - limits.DESCRIPTORS_RESERVED))
