"""Turns against the memory twin: adoption, drift, refusals, and services of others."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector import pool
from hadirector.drift import Drift
from hadirector.ipvs import model as ipvs
from hadirector.ipvs.dataplane import AppliedReport, DataplaneAbsentError, DataplaneUnsureError
from hadirector.ipvs.memory import MemoryTable
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    Step,
)
from hadirector.journal import Journal
from hadirector.plan import Undeclared
from hadirector.reconciler import HEALTH, Changes, Reconciler, Turn
from tests.hadirector.test_pool import WEB

POOLS = [pool.everything_up(WEB)]
FOREIGN = ipvs.Service(ipvs.VirtualAddress(ipvs.Protocol.TCP, ip_address("203.0.113.9"), 80))


def turn(reconciler: Reconciler, why: str, pools: list[pool.Pool] = POOLS) -> Turn:
    changes = Changes(tuple(pools)) if why == HEALTH else None
    return asyncio.run(reconciler.turn(why, pools, changes=changes))


def make() -> tuple[Reconciler, MemoryTable, Journal]:
    table, journal = MemoryTable(), Journal(None)
    return Reconciler(table, journal), table, journal


def test_an_empty_kernel_is_filled_and_a_second_turn_writes_nothing() -> None:
    reconciler, _, _ = make()
    assert turn(reconciler, "start").sentence == "start: add 1 service and 2 servers"
    again = turn(reconciler, "audit")
    assert (again.sentence, again.steps, again.drift) == ("audit: the table matches", (), ())


def test_what_matches_already_is_adopted_without_a_write() -> None:
    first, table, _ = make()
    turn(first, "start")
    assert turn(Reconciler(table, Journal(None)), "start").steps == ()


def test_what_another_program_changed_is_journaled_and_repaired() -> None:
    reconciler, table, journal = make()
    turn(reconciler, "start")
    entry = asyncio.run(table.read())[WEB.listen]
    asyncio.run(table.apply([DeleteService(entry)]))
    repaired = turn(reconciler, "audit")
    assert len(repaired.drift) == 3
    assert journal.newest(1)[0].kind == "repair"
    assert "another program changed the table" in journal.newest(1)[0].sentence
    assert turn(reconciler, "audit").drift == ()


def test_every_finding_is_journaled_with_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hadirector.reconciler.FINDINGS_PER_EVENT", 2)
    reconciler, table, journal = make()
    turn(reconciler, "start")
    entry = asyncio.run(table.read())[WEB.listen]
    changed, removed = entry.destinations.values()
    alien = replace(removed, key=replace(removed.key, port=9), weight=7, upper=3)
    asyncio.run(
        table.apply(
            [
                SetDestination(WEB.listen, replace(changed, weight=9), changed),
                DeleteDestination(WEB.listen, removed),
                AddDestination(WEB.listen, alien),
            ]
        )
    )
    turn(reconciler, "audit")
    events = journal.newest(2)
    assert [event.kind for event in events] == ["repair", "repair"]
    assert events[1].sentence == "findings 3 to 3 of 3 of this audit"
    found: list[object] = []
    for event in events:
        part = event.details["findings"]
        assert isinstance(part, list)
        found += part
    where = f"of {WEB.listen}"
    expected = [
        {"about": f"{removed.key} {where}", "before": str(removed), "after": None},
        {
            "about": f"{changed.key} {where}",
            "before": str(changed),
            "after": str(replace(changed, weight=9)),
        },
        {"about": f"{alien.key} {where}", "before": None, "after": str(alien)},
    ]
    assert found == expected
    assert str(alien).endswith(", upper 3")


def test_a_change_of_health_is_not_drift() -> None:
    reconciler, _, journal = make()
    turn(reconciler, "start")
    down = pool.build(WEB, {"web/198.51.100.22:80": pool.Health(True, "")})
    changed = turn(reconciler, "health", [down])
    assert changed.drift == ()
    assert changed.sentence == "health: remove 1 server"
    assert journal.newest(1)[0].kind == "table"


class Absent(MemoryTable):
    async def read(self, *, traffic: bool = False) -> ipvs.Table:
        raise DataplaneAbsentError("this kernel has no IPVS")


def test_without_services_no_table_is_needed() -> None:
    reconciler = Reconciler(Absent(), Journal(None))
    assert turn(reconciler, "start", []).sentence == (
        "start: no services, so the table is not looked at"
    )
    with pytest.raises(DataplaneAbsentError):
        turn(reconciler, "reload")


def test_what_the_kernel_refuses_is_told_once_and_tried_again() -> None:
    table, journal = MemoryTable(schedulers={"rr"}), Journal(None)
    reconciler = Reconciler(table, journal)
    refused = turn(reconciler, "start")
    assert "no scheduler 'wlc'" in refused.failures[0]
    assert refused.sentence.endswith("3 refused by the kernel")
    told = journal.newest(10)
    assert len(told) == 1 + len(refused.failures)
    assert turn(reconciler, "audit").failures == refused.failures
    assert journal.newest(10) == told


class Interrupted(MemoryTable):
    """Does the first step, then loses the kernel's answer, once."""

    lost = False

    async def apply(self, steps: Iterable[Step]) -> AppliedReport:
        if self.lost:
            return await super().apply(steps)
        self.lost = True
        await super().apply(list(steps)[:1])
        raise DataplaneUnsureError("no answer within 2 s")


def test_our_own_half_done_work_is_no_drift_and_stays_ours() -> None:
    reconciler = Reconciler(Interrupted(), Journal(None))
    with pytest.raises(DataplaneUnsureError):
        turn(reconciler, "start")
    assert turn(reconciler, "reload", []).sentence == "reload: remove 1 service"
    changed = turn(reconciler, "retry")
    assert (changed.drift, changed.failures) == ((), ())


def test_a_service_of_somebody_else_stays_and_is_told_once() -> None:
    reconciler, table, journal = make()
    asyncio.run(table.apply([AddService(FOREIGN)]))
    assert turn(reconciler, "start").kept == ("tcp 203.0.113.9:80",)
    turn(reconciler, "audit")
    told = [event for event in journal.newest(10) if "left alone" in event.sentence]
    assert len(told) == 1
    assert FOREIGN.key in asyncio.run(table.read())


def test_a_service_that_was_ours_goes_with_its_configuration() -> None:
    reconciler, table, _ = make()
    turn(reconciler, "start")
    assert turn(reconciler, "reload", []).sentence == "reload: remove 1 service"
    assert len(asyncio.run(table.read())) == 0


class Counted(MemoryTable):
    """Counts how often it is read."""

    readings = 0

    async def read(self, *, traffic: bool = False) -> ipvs.Table:
        self.readings += 1
        return await super().read(traffic=traffic)


ONE_DOWN = pool.build(WEB, {"web/198.51.100.22:80": pool.Health(True, "")})


def test_a_change_of_health_is_written_without_a_reading() -> None:
    table = Counted()
    reconciler = Reconciler(table, Journal(None))
    turn(reconciler, "start")
    assert turn(reconciler, HEALTH, [ONE_DOWN]).sentence == "health: remove 1 server"
    assert turn(reconciler, HEALTH).sentence == "health: add 1 server"
    assert turn(reconciler, HEALTH).steps == ()
    assert (table.readings, table.writes) == (1, 5)
    audited = turn(reconciler, "audit")
    assert (audited.steps, audited.drift, table.readings) == ((), (), 2)


def test_a_change_of_health_that_meets_another_table_reads_it_after_all() -> None:
    table, journal = Counted(), Journal(None)
    reconciler = Reconciler(table, journal)
    turn(reconciler, "start")
    [entry] = table.table.values()
    gone = next(d for d in entry.destinations.values() if d.key.address.packed[-1] == 21)
    asyncio.run(table.apply([DeleteDestination(entry.service.key, gone)]))
    changed = turn(reconciler, HEALTH, [ONE_DOWN])
    assert (changed.failures, table.readings) == ((), 2)
    assert len(changed.steps) == 1
    assert table.table == pool.desired_table([ONE_DOWN])


def test_drift_is_still_found_by_the_audit_after_changes_of_health() -> None:
    table = Counted()
    reconciler = Reconciler(table, Journal(None))
    turn(reconciler, "start")
    [entry] = table.table.values()
    kept = next(d for d in entry.destinations.values() if d.key.address.packed[-1] == 22)
    other = replace(kept, weight=9)
    asyncio.run(table.apply([SetDestination(entry.service.key, other, kept)]))
    turn(reconciler, HEALTH, [ONE_DOWN])
    audited = turn(reconciler, "audit", [ONE_DOWN])
    assert len(audited.drift) == 1
    assert "weight 9 to 3" in audited.drift[0]
    assert table.table == pool.desired_table([ONE_DOWN])


def test_a_turn_about_some_services_leaves_the_others_and_removes_what_is_gone() -> None:
    table, journal = Counted(), Journal(None)
    reconciler = Reconciler(table, journal)
    asyncio.run(table.apply([AddService(FOREIGN)]))
    keys = [ipvs.VirtualAddress(ipvs.Protocol.TCP, ip_address("192.0.2.100"), p) for p in (1, 2, 3)]
    pools = [pool.everything_up(replace(WEB, name=f"w{k.port}", listen=k)) for k in keys]
    turn(reconciler, "start", pools)
    smaller = pool.build(replace(WEB, name="w1", listen=keys[0]), {})
    changes = Changes((smaller,), gone=frozenset({keys[1]}))
    changed = asyncio.run(reconciler.turn("reload", pools, changes=changes))
    assert changed.sentence == "reload: remove 1 service and 2 servers"
    assert (table.readings, changed.kept) == (1, ("tcp 203.0.113.9:80",))
    assert reconciler.declared == {keys[0], keys[2]}
    assert set(table.table) == {keys[0], keys[2], FOREIGN.key} == set(reconciler.actual)
    audited = turn(reconciler, "audit", [smaller, pools[2]])
    assert (audited.steps, audited.drift) == ((), ())
    assert sum("left alone" in event.sentence for event in journal.newest(10)) == 1


@pytest.mark.parametrize("policy", [Drift.REPORT, Drift.IGNORE])
def test_by_its_policy_drift_is_left_while_our_own_changes_are_made(policy: Drift) -> None:
    reconciler, table, journal = make()
    web = replace(WEB, drift=policy)
    turn(reconciler, "start", [pool.everything_up(web)])
    [entry] = table.table.values()
    _, second = entry.destinations.values()
    changed = replace(second, weight=9)
    asyncio.run(table.apply([SetDestination(entry.service.key, changed, second)]))
    for _ in range(2):
        audited = turn(reconciler, "audit", [pool.everything_up(web)])
        assert (audited.steps, audited.drift) == ((), ())
        assert len(audited.reported) == (policy is Drift.REPORT)
    told = [event for event in journal.newest(10) if event.kind == "drift"]
    assert len(told) == (policy is Drift.REPORT)
    turn(reconciler, "audit", [pool.build(web, {"web/198.51.100.22:80": pool.Health(True, "")})])
    [entry] = table.table.values()
    assert entry.destinations == {changed.key: changed}


def test_services_of_others_are_told_or_not_or_removed() -> None:
    for undeclared, count, stays in (
        (Undeclared.KEEP, 0, True),
        (Undeclared.REPORT, 1, True),
        (Undeclared.REMOVE, 0, False),
    ):
        reconciler, table, journal = make()
        asyncio.run(table.apply([AddService(FOREIGN)]))
        asyncio.run(reconciler.turn("start", POOLS, undeclared=undeclared))
        told = [event for event in journal.newest(10) if "left alone" in event.sentence]
        assert (len(told), FOREIGN.key in table.table) == (count, stays)


@pytest.mark.asyncio
async def test_a_large_reading_gives_way_and_leaves_little_to_compare() -> None:
    address, tcp = ip_address("192.0.2.100"), ipvs.Protocol.TCP
    keys = [ipvs.VirtualAddress(tcp, address, port) for port in range(1, 301)]
    pools = [pool.everything_up(replace(WEB, name=f"web{k.port}", listen=k)) for k in keys]
    reconciler, _, _ = make()
    await reconciler.turn("start", pools)
    reading, turns = asyncio.create_task(reconciler.read()), 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 5
    left = reconciler._left
    assert left is not None
    assert all(reconciler.actual[key].destinations is left[key].destinations for key in keys)
    assert (await reconciler.turn("audit", pools, just_read=True)).steps == ()
