"""The verdict on every server: what its checks find, put together.

The problem: pools and people ask about servers, while a scheduler knows checks, of which a server
may have several, some of them only to warn. The approach: this stands between the two. A server
with one check has that one's verdict; of several, `checkers.combination` decides. What a check
found is journaled here, and only what changes a server is told on.

It also keeps what was found across a restart (`health_store`). One owner, one event loop. Must
never decide a weight, nor let an advisory check take a server out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from checkers.base import Advice, ProbeError, Result
from checkers.combination import combined, explained
from checkers.health import State, Transition
from checkers.scheduler import Scheduler
from hadirector import limits
from hadirector.checks import ServerChecks, ServerView, server_of
from hadirector.crew import Crew
from hadirector.health_store import HealthStore
from hadirector.journal import Journal
from hadirector.service_memory import ServiceMemory

OnTransition = Callable[[str, Transition], None]
OnResult = Callable[[str, Result], None]


@dataclass(slots=True)
class _Verdict:
    """What several checks say together, since when (unix time) and why."""

    state: State
    since: float
    sentence: str


class Verdicts:
    """All servers, by `server_key`. The callbacks speak of servers, too."""

    def __init__(
        self,
        journal: Journal,
        store: HealthStore,
        on_transition: OnTransition,
        on_result: OnResult,
        *,
        on_reason: Callable[[str], None] = lambda _: None,
        services: Callable[[], Mapping[str, ServiceMemory]] = dict,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`on_reason` hears of a server whose verdict stays, for another reason than before.

        `services` tells what is to be kept of them beside what the checks found."""
        self._journal = journal
        self._store = store
        self._on_transition = on_transition
        self._on_result = on_result
        self._on_reason = on_reason
        self._services = services
        self._wall = wall
        self._servers: Mapping[str, ServerChecks] = {}
        self._together: dict[str, _Verdict] = {}  # of the servers with several checks
        self._advice: dict[str, Advice] = {}  # of those servers' checks, by check key
        self._news = asyncio.Event()
        self.crew = Crew(lambda sentence: journal.add("process", sentence))
        self.scheduler = Scheduler(
            self._transition, self._result, self._probe_failed, runner=self.crew
        )

    @property
    def first_round(self) -> asyncio.Event:
        """Set once every check has been tried."""
        return self.scheduler.first_round

    def update(
        self,
        servers: Mapping[str, ServerChecks],
        moved: Set[str],
        in_service: Set[str],
        *,
        workers: int = 0,
    ) -> None:
        """Check these servers from now on; those of `in_service` start up if they are new.

        `moved`: those that may be new, others than before, or gone; nobody else is looked at.
        `workers`: processes that make the probes; 0: this one.
        """
        self.crew.resize(workers)
        before, self._servers = self._servers, servers
        fresh = [key for key in moved & servers.keys() if before.get(key) is not servers[key]]
        gone = moved - servers.keys()
        former = [before[key] for key in (*gone, *fresh) if key in before]
        checks = {check.key: check for key in fresh for check in servers[key].checks}
        removed = {check.key for server in former for check in server.checks} - checks.keys()
        adopted = {check.key for key in in_service for check in servers[key].checks}
        self.scheduler.change(removed, checks, adopted, self._store.recalled())
        for key in removed:
            self._advice.pop(key, None)
        for key in gone:
            self._together.pop(key, None)
        for key in fresh:
            known = self._together.pop(key, None)
            if len(servers[key].checks) > 1:
                self._together[key] = now = self._decide(servers[key])
                if known is not None and known.state is now.state:
                    now.since = known.since

    def resume(self, key: str) -> bool:
        """Hold no check of this server down any longer; whether one was held."""
        held = [self.scheduler.resume(check.key) for check in self._servers[key].checks]
        self._news.set()
        return any(held)

    def view(self, key: str) -> ServerView:
        """What is known of a server. Raises KeyError if there is no such server."""
        server = self._servers[key]
        views = {check.key: self.scheduler.view(check.key) for check in server.checks}
        verdict = self._together.get(key)
        if verdict is None:
            (view,) = views.values()
            return ServerView.of_one(view)
        parts = server.parts(views)
        outlook = "; ".join(f"{part.label}: {part.view.outlook}" for part in parts if part.counts)
        return ServerView(
            state=verdict.state,
            since=verdict.since,
            sentence=verdict.sentence,
            outlook=outlook,
            parts=parts,
        )

    def is_up(self, key: str) -> bool:
        """Whether this server is up. Raises KeyError if there is no such server."""
        together = self._together.get(key)
        return (self.scheduler.view(key) if together is None else together).state is State.UP

    @property
    def views(self) -> Mapping[str, ServerView]:
        """All of them, each made when it is looked at."""
        return _Views(self)

    @property
    def keys(self) -> Mapping[str, object]:
        """The servers there are."""
        return self._servers

    def worth_keeping(self) -> None:
        """Something else that is kept has changed: a quorum, a hold of the brake."""
        self._news.set()

    async def keep(self) -> None:
        """Keep what was found across a restart: soon after news, and every so often."""
        while True:
            try:
                async with asyncio.timeout(limits.HEALTH_KEPT_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(limits.HEALTH_KEPT_AFTER_S)  # more news may come at once
            self._news.clear()
            kept = self.scheduler.memories(), self._services()
            self._store.tell(await asyncio.to_thread(self._store.write, *kept))

    async def aclose(self) -> None:
        """Let no probe be under way, and keep what was found."""
        await self.scheduler.aclose()
        self._store.tell(self._store.write(self.scheduler.memories(), self._services()))

    def _decide(self, server: ServerChecks) -> _Verdict:
        views = {check.key: self.scheduler.view(check.key) for check in server.checks}
        counting = [part for part in server.parts(views) if part.counts]
        state = combined([part.view.state for part in counting], server.require)
        told = {part.label: (part.view.state, part.view.sentence) for part in counting}
        return _Verdict(state, self._wall(), explained(told, server.require))

    # What the scheduler tells

    def _transition(self, key: str, transition: Transition) -> None:
        self._news.set()
        server_key = server_of(key)
        before = self._together.get(server_key)
        if before is None:
            self._tell(server_key, transition)
            return
        server = self._servers[server_key]
        label, advisory = server.named(key)
        what = f"{server_key}: check {label}{' (advisory)' if advisory else ''}"
        sentence = f"{what} is {transition.after}: {transition.sentence}"
        self._journal.add("check", sentence, subject=server_key)
        now = self._decide(server)
        if now.state is before.state:
            if before.sentence != now.sentence:
                before.sentence = now.sentence
                self._on_reason(server_key)
            return
        self._together[server_key] = now
        told = replace(transition, before=before.state, after=now.state, sentence=now.sentence)
        self._tell(server_key, told)

    def _tell(self, key: str, transition: Transition) -> None:
        sentence = f"{key} is {transition.after}: {transition.sentence}"
        self._journal.add("server", sentence, subject=key)
        self._on_transition(key, transition)

    def _result(self, key: str, result: Result) -> None:
        server_key = server_of(key)
        if server_key not in self._together:
            self._on_result(server_key, result)
            return
        server = self._servers[server_key]
        if server.named(key)[1]:
            return  # what only warns asks for no weight
        if result.healthy:
            self._advice.pop(key, None)
            if result.advice is not None:
                self._advice[key] = result.advice
        asked = (self._advice.get(check.key) for check in server.checks)
        advice = next((one for one in asked if one is not None), None)
        self._on_result(server_key, replace(result, advice=advice))

    def _probe_failed(self, key: str, error: ProbeError) -> None:
        """A probe could not be made: our own fault, so no verdict on the server."""
        server_key = server_of(key)
        label = f" (check {self._servers[server_key].named(key)[0]})" if key != server_key else ""
        sentence = f"{server_key} cannot be checked{label}: {error}"
        self._journal.add("probe", sentence, subject=server_key)


class _Views(Mapping[str, ServerView]):
    """Views that are made when they are looked at."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    def __getitem__(self, key: str) -> ServerView:
        return self._verdicts.view(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._verdicts.keys)

    def __len__(self) -> int:
        return len(self._verdicts.keys)
