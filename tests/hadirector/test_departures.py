"""What left the file: weight 0 first, gone once nobody needs it, and interrupted anywhere."""

import asyncio
from dataclasses import dataclass, field, replace

from hypothesis import given

from hadirector import pool
from hadirector.departures import AT_ONCE, Drain, awaited_of, lowered, parted
from hadirector.drains import LOOK
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.model import Counters, Entry, FirewallMark, ServiceFlag, ServiceKey, Table
from hadirector.ipvs.steps import DeleteDestination, DeleteService, SetDestination
from hadirector.journal import Journal
from hadirector.plan import Undeclared, plan
from hadirector.reconciler import Changes, Reconciler, Turn
from tests.hadirector.ipvs.strategies import tables
from tests.hadirector.test_plan import states, usable
from tests.hadirector.test_pool import UNKNOWN, WEB, server

LESS = replace(WEB, servers=WEB.servers[:1])
GOING = WEB.servers[1].behind(WEB.listen)
HALF_A_MINUTE = Drain(30.0)


class Busy(MemoryTable):
    """A table whose every server has these connections."""

    counted = Counters()

    async def read(self, *, traffic: bool = False) -> Table:
        table = await super().read(traffic=traffic)
        return Table({key: self._busy(entry) for key, entry in table.items()})

    def _busy(self, entry: Entry) -> Entry:
        return replace(entry, counters=dict.fromkeys(entry.destinations, self.counted))


@dataclass
class Scene:
    """A director whose file has WEB, and what it is told later."""

    kernel: Busy = field(default_factory=Busy)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.restart()
        self.turn("start", WEB)

    def restart(self) -> None:
        self.reconciler = Reconciler(
            self.kernel,
            Journal(None),
            clock=lambda: self.now + 5000.0,
            monotonic=lambda: self.now,
        )

    def turn(
        self, why: str, *services: object, known: bool = False, drain: Drain = HALF_A_MINUTE
    ) -> Turn:
        pools = [pool.everything_up(each) for each in services if isinstance(each, type(WEB))]
        gone: frozenset[ServiceKey] = frozenset() if pools else frozenset({WEB.listen})
        changes = Changes(tuple(pools), gone) if known else None
        return asyncio.run(self.reconciler.turn(why, pools, changes=changes, drain=drain))

    def look(self, *services: object) -> Turn:
        """As the drains have it done: what is leaving is read, and nothing else."""
        pools = [pool.everything_up(each) for each in services if isinstance(each, type(WEB))]
        leaving = {one.service for one in self.reconciler.leaving()}
        asyncio.run(self.reconciler.look(leaving))
        turn = self.reconciler.turn(
            LOOK, pools, changes=Changes(), drain=HALF_A_MINUTE, looked_at=leaving
        )
        return asyncio.run(turn)

    @property
    def weight(self) -> int | None:
        entry = self.kernel.table.get(WEB.listen)
        server = None if entry is None else entry.destinations.get(GOING)
        return None if server is None else server.weight


def test_a_server_that_left_the_file_goes_once_its_connections_have_ended() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=2)
    assert scene.turn("reload", LESS, known=True).sentence == "reload: change 1 server"
    assert scene.weight == 0
    [told] = scene.reconciler.leaving()
    assert (told.service, told.server) == (WEB.listen, GOING)
    assert (told.since, told.until) == (5100.0, 5130.0)
    scene.now += 1.0
    assert not scene.turn("audit", LESS).steps
    assert scene.reconciler.leaving() == (told,)
    assert scene.turn("audit", LESS).drift == ()  # it is ours to keep it
    scene.kernel.counted = Counters(inactive=7)
    assert scene.turn("audit", LESS).sentence == "audit: remove 1 server"
    assert scene.reconciler.leaving() == ()


def test_only_what_is_counted_since_it_has_weight_0_says_that_nobody_is_left() -> None:
    scene = Scene()
    scene.turn("audit", WEB)  # nobody is there yet
    scene.kernel.counted = Counters(active=2)
    scene.turn("reload", LESS, known=True)
    scene.turn("health", LESS, known=True)  # which counts nobody
    assert scene.weight == 0
    idle = Scene()
    idle.turn("audit", LESS)  # counted, but with its weight: a client may be on its way
    assert idle.weight == 0
    idle.turn("audit", LESS)
    assert idle.weight is None


def test_it_goes_when_its_time_is_over_and_persistent_clients_are_waited_for() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(persistent=1)
    scene.turn("reload", LESS, known=True)
    scene.now += 29.9
    scene.turn("audit", LESS)
    assert scene.weight == 0
    scene.now += 0.1
    scene.turn("audit", LESS)
    assert scene.weight is None


def test_a_look_reads_the_services_concerned_and_sees_what_others_did_there() -> None:
    """Another service of the table is not read: what somebody does to it waits for the audit."""
    other = replace(WEB, name="other", listen=FirewallMark(9))
    scene = Scene()
    scene.kernel.counted = Counters(active=2)
    scene.turn("reload", WEB, other)
    scene.turn("reload", LESS, other, known=True)
    assert scene.weight == 0

    def changed(key: ServiceKey) -> None:
        entry = scene.kernel.table[key]
        server = entry.destinations[WEB.servers[0].behind(key)]
        assert scene.kernel.step(SetDestination(key, replace(server, weight=77), server)) == 0

    changed(WEB.listen)
    changed(other.listen)
    turn = scene.look(LESS, other)
    [repaired] = turn.drift
    assert str(WEB.listen) in repaired
    assert scene.weight == 0
    scene.kernel.counted = Counters()
    assert scene.look(LESS, other).sentence == "timed drain: remove 1 server"
    assert not scene.reconciler.departures
    assert len(scene.turn("audit", LESS, other).drift) == 1


def test_what_another_program_removed_is_not_waited_for() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=2)
    scene.turn("reload", LESS, known=True)
    scene.kernel.step(DeleteService(scene.kernel.table[WEB.listen]))
    scene.look()
    assert not scene.reconciler.departures


def test_persistent_clients_whom_the_kernel_sends_elsewhere_are_not() -> None:
    scene, drain = Scene(), Drain(30.0, ignores_persistence=True)
    scene.kernel.counted = Counters(persistent=1)
    scene.turn("reload", LESS, known=True, drain=drain)
    assert scene.weight == 0  # what was counted before it had weight 0 says nothing
    scene.turn("audit", LESS, drain=drain)
    assert scene.weight is None


def test_without_a_time_it_goes_at_once() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=2)
    scene.turn("reload", LESS, known=True, drain=AT_ONCE)
    assert scene.weight is None


def test_a_server_whose_clients_would_be_turned_away_meanwhile_goes_at_once() -> None:
    hashing = {"sh": ServiceFlag.NONE, "mh": ServiceFlag.NONE, "dh": ServiceFlag.SCHEDULER_1}
    for scheduler, flags in hashing.items():
        scene = Scene()
        scene.kernel.counted = Counters(active=2)
        whole, less = (replace(one, scheduler=scheduler, flags=flags) for one in (WEB, LESS))
        scene.turn("reload", whole)
        scene.turn("reload", less, known=True)
        assert scene.weight is None
    scene = Scene()
    scene.kernel.counted = Counters(active=2)
    falls_back = replace(LESS, scheduler="sh", flags=ServiceFlag.SCHEDULER_1)
    scene.turn("reload", falls_back, known=True)
    assert scene.weight == 0


def test_all_servers_replaced_means_the_old_ones_serve_until_a_new_one_is_up() -> None:
    new = server(31)
    for scheduler in ("wlc", "mh"):
        before = replace(WEB, scheduler=scheduler)
        after = replace(before, servers=(new,))
        scene = Scene()
        scene.kernel.counted = Counters(active=2)
        scene.turn("reload", before)
        served = scene.kernel.table[WEB.listen].destinations
        up = pool.server_key(after, new)
        for health in (UNKNOWN, UNKNOWN):
            turn = scene.reconciler.turn(
                "reload", [pool.build(after, {up: health})], drain=HALF_A_MINUTE
            )
            assert not asyncio.run(turn).steps
            assert scene.kernel.table[WEB.listen].destinations == served
        assert len(scene.reconciler.leaving()) == 2
        scene.turn("health", after)
        there = scene.kernel.table[WEB.listen].destinations
        assert there[new.behind(WEB.listen)].usable
        assert scene.weight == (None if scheduler == "mh" else 0)


def test_they_do_not_serve_longer_than_their_time() -> None:
    scene, after = Scene(), replace(WEB, servers=(server(31),))
    scene.kernel.counted = Counters(active=2)
    waiting = pool.build(after, {pool.server_key(after, after.servers[0]): UNKNOWN})
    asyncio.run(scene.reconciler.turn("reload", [waiting], drain=HALF_A_MINUTE))
    assert scene.weight == WEB.servers[1].weight
    scene.now += 30.0
    asyncio.run(scene.reconciler.turn("audit", [waiting], drain=HALF_A_MINUTE))
    assert scene.weight is None


def test_an_apply_does_not_wait_for_them_either() -> None:
    table = pool.desired_table([pool.everything_up(replace(WEB, scheduler="mh"))])
    entry = table[WEB.listen]
    counters = dict.fromkeys(entry.destinations, Counters(active=2))
    actual = Table({WEB.listen: replace(entry, counters=counters)})
    steps = plan(pool.desired_table([pool.everything_up(LESS)]), actual).steps  # to wlc again
    assert len(lowered(steps, actual)) == 1
    goal = pool.desired_table([pool.everything_up(replace(LESS, scheduler="mh"))])
    steps = plan(goal, actual).steps
    assert lowered(steps, actual) == ()
    assert awaited_of(steps, actual, HALF_A_MINUTE) == 0


def test_a_server_that_is_down_or_was_put_there_by_others_goes_at_once() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=2)
    first = pool.server_key(WEB, WEB.servers[0])
    down = pool.build(WEB, {first: pool.Health(True, "")})
    asyncio.run(scene.reconciler.turn("health", [down], drain=HALF_A_MINUTE))
    assert scene.weight is None
    other = Scene()
    asyncio.run(other.reconciler.turn("reload", [pool.everything_up(LESS)], drain=AT_ONCE))
    more = plan(pool.desired_table([pool.everything_up(WEB)]), other.kernel.table)
    asyncio.run(other.kernel.apply(more.steps))
    assert other.turn("audit", LESS).drift
    assert other.weight is None


def test_a_service_that_left_the_file_is_drained_as_a_whole() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=1)
    assert scene.turn("reload", known=True).sentence == "reload: change 2 servers"
    scene.kernel.counted = Counters()
    assert scene.turn("audit").sentence == "audit: remove 1 service"
    assert not scene.kernel.table


def test_a_server_that_comes_back_has_its_weight_back_at_once() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=1)
    scene.turn("reload", LESS, known=True)
    assert scene.turn("reload", WEB, known=True).sentence == "reload: change 1 server"
    assert scene.weight == WEB.servers[1].weight
    assert not scene.reconciler.departures


def test_a_restart_meanwhile_goes_on_with_it() -> None:
    scene = Scene()
    scene.kernel.counted = Counters(active=1)
    scene.turn("reload", LESS, known=True)
    scene.restart()
    assert not scene.turn("start", LESS).steps
    assert scene.weight == 0
    scene.kernel.counted = Counters()
    scene.turn("audit", LESS)
    assert scene.weight is None


def test_looks_grow_rarer_while_it_lasts_and_end_with_it() -> None:
    scene = Scene()
    departures = scene.reconciler.departures
    assert departures.look_again_in_s() is None
    scene.turn("reload", LESS, known=True)
    assert [departures.look_again_in_s() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    scene.turn("audit", LESS)
    assert departures.look_again_in_s() is None


@given(tables(), tables())
def test_weights_are_0_before_removals_and_interrupted_anywhere_no_service_is_without(
    start: Table, goal: Table
) -> None:
    """As `hadirector apply` does it: give and lower, weight 0 for what goes, then the removals."""
    always = usable(start) & usable(goal)
    steps = plan(goal, start, undeclared=Undeclared.REMOVE).steps
    first, last = parted(steps)
    assert len(first) + len(last) == len(steps)
    order = (*first, *lowered(steps, start), *last)
    for between in states(start, order):
        assert always <= usable(between)
        again = plan(goal, between, undeclared=Undeclared.REMOVE).steps
        *_, end = states(between, (*again,))
        assert end == goal
    *_, drained = states(start, (*first, *lowered(steps, start)))
    for step in last:
        match step:
            case DeleteDestination(key, before):
                drains = not drained[key].service.turns_away_from_drained
                assert drained[key].destinations[before.key].usable is (
                    before.usable and not drains
                )
            case DeleteService():
                assert not drained[step.key].usable


def test_what_an_apply_waits_for() -> None:
    table = pool.desired_table([pool.everything_up(WEB)])
    entry = table[WEB.listen]
    counters = dict.fromkeys(entry.destinations, Counters(active=2, inactive=5, persistent=1))
    actual = Table({WEB.listen: replace(entry, counters=counters)})
    one = plan(pool.desired_table([pool.everything_up(LESS)]), actual).steps
    every = plan(Table(), actual, undeclared=Undeclared.REMOVE).steps
    assert awaited_of(one, actual, HALF_A_MINUTE) == 3
    assert awaited_of(every, actual, Drain(30.0, ignores_persistence=True)) == 4
    assert awaited_of(every, Table(), HALF_A_MINUTE) == 0
