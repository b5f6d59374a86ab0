"""Judges all checks: the hands around the rise/fall machines, and whoever makes the probes.

The problem: thousands of checks, many of them the same but for who asks, and of each a verdict with
its reasons. The approach: a `Runner` makes the probes, in this process or in others, and knows no
verdict; what comes of them is judged here and nowhere else, so that it does not matter who made
them.

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
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from checkers.base import ProbeError, Result
from checkers.check import Check
from checkers.health import Health, State, Transition
from checkers.history import History
from checkers.memory import Memory, recall
from checkers.quick import Outcome
from checkers.runner import LocalRunner, Runner
from checkers.runs import Entry, Run
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
        runner: Runner | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` gives Unix time in seconds; times of probes come from the event loop's clock.

        `runner` makes the probes; by default this process does.
        """
        self._on_transition = on_transition
        self._on_result = on_result
        self._on_error = on_error
        self._wall = wall
        self._runner: Runner = LocalRunner() if runner is None else runner
        self._runner.attend(self._told, self._missed)
        self._entries: dict[str, Entry] = {}
        self._runs: dict[str, Run] = {}  # by the check's digest
        self._asked: dict[tuple[int, int], str] = {}  # during an update, by options and timing
        self._untried: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # set while running
        self.first_round = asyncio.Event()
        """Set once every check has been tried; checks added after that do not clear it."""

    @property
    def in_flight(self) -> int:
        """Probes under way."""
        return self._runner.in_flight

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
        """Make `checks`, by key, the checks that run; as `change` does."""
        removed = self._entries.keys() - checks.keys()
        return self.change(removed, checks, initially_up, remembered)

    def change(
        self,
        removed: AbstractSet[str],
        checks: Mapping[str, Check],
        initially_up: AbstractSet[str] = frozenset(),
        remembered: Mapping[str, Memory] = MappingProxyType({}),
    ) -> Changes:
        """Take out the checks of `removed`, and take these; may be called before and during `run`.

        Checks that stay as they are go on undisturbed. A check that changed keeps its state while
        it still tests the same address: only results under its new definition take a server out.
        A key that is new and in `initially_up` starts up, any other new one as its timing says; one
        that is in `remembered` with the same digest goes on where it was. Raises KeyError where
        one of `removed` is not there.
        """
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
        unchanged = len(self._entries) - added - changed
        return Changes(added=added, changed=changed, removed=len(removed), unchanged=unchanged)

    def resume(self, key: str) -> bool:
        """Hold a check down no longer; whether it was held. Raises KeyError if there is none."""
        entry = self._entries[key]
        was_held = entry.health.held_since is not None
        now = 0.0 if self._loop is None else self._loop.time()
        transition = entry.health.resume(entry.run.history.last(), now)
        self._runner.pace(entry.run.digest, entry.run.interval)
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
        """Have probes made until `aclose` or cancellation; then none is left. Once only."""
        if self._loop is not None:
            raise RuntimeError("this scheduler ran already")
        self._loop = asyncio.get_running_loop()
        try:
            await self._runner.run()
        finally:
            self._loop = None

    async def aclose(self) -> None:
        """Make `run` end, and wait until no probe is under way."""
        await self._runner.aclose()

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
        self._runner.take(digest, check, run.interval)
        return run

    def _discard(self, key: str) -> None:
        entry = self._entries.pop(key)
        run = entry.run
        del run.healths[key]
        if run.healths:
            self._runner.pace(run.digest, run.interval)
            return
        del self._runs[run.digest]
        self._runner.drop(run.digest)

    # What the runner tells

    def _told(self, digest: str, outcome: Outcome) -> float:
        run = self._runs[digest]
        if outcome is not None:
            self._settle(run, outcome)
        return run.interval

    def _missed(self, digest: str, why: str) -> None:
        """Nobody makes the probe for now: of many at once, so whoever knows tells once."""
        run = self._runs[digest]
        run.errors += 1
        run.error = why

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
