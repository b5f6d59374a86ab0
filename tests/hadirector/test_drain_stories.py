"""Drains in every story: what leaves the file, and who is drained by hand.

Two machines: files, clients, turns and restarts in any order against the reconciler and a table in
memory; and orders, counts, time and restarts against the store on disk.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hadirector import pool
from hadirector.departures import Departures, Drain
from hadirector.drains import Drains
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Counters, DestinationKey, Entry, ServiceKey, Table
from hadirector.journal import Journal
from hadirector.overrides import Command, OverrideStore
from hadirector.pool import Order
from hadirector.reconciler import Changes, Reconciler
from tests.hadirector.test_pool import FIRST, WEB, server
from tests.hadirector.test_timed_drain import table_of

SERVERS = tuple(server(last, weight) for last, weight in ((21, 1), (22, 3), (23, 2)))
PLACES = tuple(each.behind(WEB.listen) for each in SERVERS)
FEW_STEPS = settings(max_examples=40, stateful_step_count=20, deadline=None)


class Counting(MemoryTable):
    """A table that has clients: of each server, how many connections."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: dict[DestinationKey, int] = {}

    async def read(self, *, traffic: bool = False) -> Table:
        table = await super().read(traffic=traffic)
        return Table({key: self._counted(entry) for key, entry in table.items()})

    def _counted(self, entry: Entry) -> Entry:
        counters = {key: Counters(active=self.clients.get(key, 0)) for key in entry.destinations}
        return replace(entry, counters=counters)

    def weights(self) -> dict[DestinationKey, int]:
        entry = self.table.get(WEB.listen)
        found = {} if entry is None else entry.destinations
        return {key: destination.weight for key, destination in found.items()}


class WhatLeftTheFile(RuleBasedStateMachine):
    """Servers come and go in the file while clients come and go at the servers."""

    @initialize(time_s=st.sampled_from([0.0, 5.0, 30.0]))
    def begin(self, time_s: float) -> None:
        self.kernel, self.now, self.drain = Counting(), 1000.0, Drain(time_s)
        self.file: tuple[int, ...] = (0, 1, 2)
        self.left_at: dict[DestinationKey, float] = {}
        self.declared: set[ServiceKey] = set()  # what the director keeps on disk
        self.start()

    @rule()
    def start(self) -> None:
        """The director process is there, again."""
        self.left_at = dict.fromkeys(self.left_at, self.now)  # no time of a drain is kept
        self.reconciler = Reconciler(
            self.kernel, Journal(None), clock=lambda: self.now, monotonic=lambda: self.now
        )
        self.reconciler.declared = self.declared
        self.turn("start", known=False)

    @rule(kept=st.sets(st.integers(0, 2)), known=st.booleans())
    def the_file_changes(self, kept: set[int], known: bool) -> None:
        self.file = tuple(sorted(kept))
        self.turn("reload", known=known)

    @rule()
    def the_table_is_audited(self) -> None:
        self.turn("audit", known=False)

    @rule(which=st.integers(0, 2), number=st.integers(0, 3))
    def clients_come_or_go(self, which: int, number: int) -> None:
        """They come only where the scheduler sends them, and go anywhere."""
        place = PLACES[which]
        before, weight = self.kernel.clients.get(place, 0), self.kernel.weights().get(place, 0)
        self.kernel.clients[place] = number if weight else min(before, number)

    @rule(seconds=st.floats(0, 20))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    def turn(self, why: str, *, known: bool) -> None:
        service = replace(WEB, servers=tuple(SERVERS[number] for number in self.file), fallbacks=())
        pools = [pool.everything_up(service)] if self.file else []
        gone: frozenset[ServiceKey] = frozenset() if pools else frozenset({WEB.listen})
        self.declared.update(*(each.service.kernel_keys for each in pools))
        changes = Changes(tuple(pools), gone) if known else None
        before = self.kernel.weights()
        asyncio.run(self.reconciler.turn(why, pools, changes=changes, drain=self.drain))
        self.judge(before, fresh=not known)

    def judge(self, before: dict[DestinationKey, int], *, fresh: bool) -> None:
        """What one turn made of the table."""
        after = self.kernel.weights()
        wanted = {PLACES[number]: SERVERS[number].weight for number in self.file}
        assert {place: after.get(place) for place in wanted} == wanted
        for place in before.keys() - wanted.keys():
            left_at = self.left_at.setdefault(place, self.now)
            is_over = self.now >= left_at + self.drain.time_s
            busy = self.kernel.clients.get(place, 0) > 0
            if place in after:
                assert after[place] == 0, "it gets new clients"
                assert not is_over, "its time is over"
                assert busy or before[place] > 0 or not fresh, "nobody needs it"
            else:
                assert is_over or not busy, "its clients were cut off"
        for place in set(self.left_at) - (after.keys() - wanted.keys()):
            del self.left_at[place]
        for place in self.kernel.clients.keys() - after.keys():
            self.kernel.clients[place] = 0

    @invariant()
    def nothing_else_is_there(self) -> None:
        assert self.kernel.weights().keys() <= set(PLACES)


TestWhatLeftTheFile = WhatLeftTheFile.TestCase
TestWhatLeftTheFile.settings = FEW_STEPS


@dataclass(frozen=True, slots=True)
class Wanted:
    """A drain as somebody ordered it."""

    connections: int | None
    deadline: float | None


class DrainedByHand(RuleBasedStateMachine):
    """One server, with orders of all sorts, whose connections are counted now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="drains-"))
        self.runner = asyncio.Runner()
        self.now, self.connections = 1000.0, 0
        self.drain: Wanted | None = None
        self.order: Order | None = None
        self.weight: int | None = None
        self.restart()

    def teardown(self) -> None:
        self.runner.close()
        shutil.rmtree(self.directory)

    @rule()
    def restart(self) -> None:
        self.store = OverrideStore(self.directory, Journal(None), clock=lambda: self.now)
        self.asked: list[str] = []
        self.drains = Drains(
            self.store,
            lambda _: None,
            self.asked.append,
            departures=Departures(),
            clock=lambda: self.now,
        )

    @rule(
        connections=st.none() | st.integers(0, 3),
        timeout=st.none() | st.integers(0, 30),
    )
    def drained(self, connections: int | None, timeout: int | None) -> None:
        words = ["" if one is None else str(one) for one in (connections, timeout)]
        self.give(Command.parse("drain", connections=words[0], timeout=words[1]))
        self.order = Order.DRAIN
        self.drain = Wanted(connections, None if timeout is None else self.now + timeout)

    @rule()
    def enabled(self) -> None:
        self.give(Command.parse("enable"))
        self.order = self.drain = None

    @rule()
    def disabled(self) -> None:
        self.give(Command.parse("disable"))
        self.order, self.drain = Order.DISABLE, None

    @rule(weight=st.integers(0, 9))
    def weighed(self, weight: int) -> None:
        """Another layer: it ends no drain, and outlives one."""
        self.give(Command.parse("weight", str(weight)))
        self.weight = weight

    def give(self, command: Command) -> None:
        self.store.give(FIRST, command, by="root")

    @rule(seconds=st.floats(0, 20))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=st.integers(0, 5))
    def clients_come_or_go(self, number: int) -> None:
        self.connections = number

    @rule(fresh=st.booleans())
    def looked_at(self, fresh: bool) -> None:
        """Over by its count, if that is new, or by its time; else it goes on, and is looked at."""
        config, actual = table_of(Counters(active=self.connections))

        async def look() -> bool:
            self.drains.look(config, actual, fresh=fresh)
            return self.drains._timer is not None

        looks_again = self.runner.run(look())
        drain, self.asked[:] = self.drain, []
        few = drain is not None and drain.connections is not None and fresh
        if drain is not None and (
            (few and self.connections <= (drain.connections or 0))
            or (drain.deadline is not None and self.now >= drain.deadline)
        ):
            self.order, self.drain = Order.DISABLE, None
            assert "drain of root" in str(self.held()[0])
        goes_on = self.drain not in (None, Wanted(None, None))
        assert looks_again == goes_on
        self.restart()  # a timer belongs to one event loop; and nothing is lost by it

    def held(self) -> Sequence[pool.Override]:
        return self.store.held.get(FIRST, ())

    @invariant()
    def what_was_ordered_holds_and_nothing_else(self) -> None:
        orders = [one.order for one in self.held()]
        wanted = [self.order] if self.order is not None else []
        assert orders == wanted + ([Order.WEIGHT] if self.weight is not None else [])
        assert [one.weight for one in self.held()][len(wanted) :] == (
            [] if self.weight is None else [self.weight]
        )
        if self.drain is not None:
            first = self.held()[0]
            assert Wanted(first.until_connections, first.deadline) == self.drain


TestDrainedByHand = DrainedByHand.TestCase
TestDrainedByHand.settings = FEW_STEPS
