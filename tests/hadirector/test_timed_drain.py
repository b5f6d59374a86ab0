"""When a drain is over, and that the director then takes the server out, even after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hadirector.config.model import Config
from hadirector.departures import Departures
from hadirector.drains import Drains
from hadirector.ipvs.model import Counters, DestinationKey, Entry, Protocol, Table, VirtualAddress
from hadirector.journal import Journal
from hadirector.overrides import Command, OrderError, OverrideStore
from hadirector.pool import Order, Override, build, desired_table
from hadirector.timed_drain import connections_of, is_over, listens_of, timed
from tests.hadirector.test_pool import FIRST, UP, WEB

DRAIN = Override(order=Order.DRAIN, by="root", since=100.0)


@pytest.mark.parametrize(
    ("order", "connections", "now", "why"),
    [
        (DRAIN, 0, 9999.0, None),
        (replace(DRAIN, until_connections=2), 3, 9999.0, None),
        (replace(DRAIN, until_connections=2), 2, 101.0, "2 connections left"),
        (replace(DRAIN, until_connections=2), None, 101.0, None),
        (replace(DRAIN, deadline=160.0), 7, 159.0, None),
        (replace(DRAIN, deadline=160.0), 7, 160.0, "its time is up, 7 connections left"),
        (replace(DRAIN, deadline=160.0), None, 161.0, "its time is up"),
        (replace(DRAIN, order=Order.WEIGHT, until_connections=2), 0, 161.0, None),
    ],
)
def test_a_drain_ends_by_count_or_by_time(
    order: Override, connections: int | None, now: float, why: str | None
) -> None:
    assert is_over((order,), connections, now) == why


def table_of(counters: Counters, protocol: Protocol = Protocol.TCP) -> tuple[Config, Table]:
    assert isinstance(WEB.listen, VirtualAddress)
    service = replace(WEB, listen=replace(WEB.listen, protocol=protocol))
    wanted = desired_table([build(service, {FIRST: UP})])[service.listen]
    server = service.servers[0]
    key = DestinationKey(server.address, server.port)
    entry = Entry(wanted.service, wanted.destinations, {key: counters})
    config = Config(nodes={}, virtual_routers=(), services=(service,))
    return config, Table({service.listen: entry})


def test_the_services_of_what_is_drained_are_known() -> None:
    config, _ = table_of(Counters())
    assert list(listens_of(config, [FIRST])) == [config.services[0].listen]
    assert list(listens_of(config, [])) == []
    assert list(listens_of(config, ["web/198.51.100.99:80"])) == []


def test_clients_that_persistence_brings_back_count_until_the_kernel_ignores_it() -> None:
    config, actual = table_of(Counters(active=2, inactive=5, persistent=3))
    assert connections_of(config, actual, FIRST) == 5
    quiescent = replace(config, settings={"expire_quiescent_template": "1"})
    assert connections_of(quiescent, actual, FIRST) == 2
    assert connections_of(config, Table(), FIRST) is None
    assert connections_of(config, actual, "web/198.51.100.99:80") is None


def test_datagrams_are_inactive_connections_to_the_kernel() -> None:
    config, actual = table_of(Counters(inactive=5), Protocol.UDP)
    assert connections_of(config, actual, FIRST) == 5


@pytest.mark.asyncio
async def test_when_it_is_over_the_server_is_disabled_and_it_says_who_wanted_that(
    tmp_path: Path,
) -> None:
    now, asked, touched = 100.0, list[str](), list[str]()
    journal = Journal(tmp_path / "journal.ndjson")
    store = OverrideStore(tmp_path, journal, clock=lambda: now)
    command = Command.parse("drain", connections="1", timeout="60")
    assert store.give(FIRST, command, by="root") == (
        True,
        f"{FIRST}: drained by hand (root), until 1 connections are left, for 60 s at most",
    )
    store = OverrideStore(tmp_path, journal, clock=lambda: now)  # a restart forgets nothing
    drains = Drains(store, touched.append, asked.append, departures=Departures(), clock=lambda: now)
    drains.look(*table_of(Counters(active=2)), fresh=True)
    drains.look(*table_of(Counters(active=0)), fresh=False)  # from before the drain
    assert timed(store.held[FIRST])
    drains.look(*table_of(Counters(active=1)), fresh=True)
    [order] = store.held[FIRST]
    assert str(order) == "disabled by hand (drain of root: 1 connections left)"
    assert (touched, asked) == ([FIRST], ["disable"])
    assert not timed(store.held[FIRST])
    store.give(FIRST, command, by="root")
    now = 161.0
    drains.look(*table_of(Counters(active=9)), fresh=False)
    assert "its time is up" in str(store.held[FIRST][0])


def test_a_longer_time_is_a_new_order_and_an_old_file_is_read(tmp_path: Path) -> None:
    now = 100.0
    store = OverrideStore(tmp_path, Journal(tmp_path / "j"), clock=lambda: now)
    assert store.give(FIRST, Command.parse("drain"), by="root")[0]
    assert not store.give(FIRST, Command.parse("drain"), by="root")[0]
    assert store.give(FIRST, Command.parse("drain", timeout="60"), by="root")[0]
    assert store.give(FIRST, Command.parse("drain", timeout="90"), by="root")[0]
    assert store.held[FIRST][0].deadline == 190.0
    (tmp_path / "overrides.json").write_text(
        f'{{"{FIRST}": [{{"order": "drain", "weight": null, "by": "root", "since": 1.0}}]}}'
    )
    assert OverrideStore(tmp_path, Journal(tmp_path / "j")).held[FIRST] == (
        replace(DRAIN, since=1.0),
    )


@pytest.mark.parametrize(
    ("verb", "connections", "timeout", "words"),
    [
        ("disable", "1", "", "only a drain ends by itself"),
        ("drain", "-1", "", '"-1" is no number of connections'),
        ("drain", "", "soon", '"soon" is no time in seconds'),
    ],
)
def test_what_is_no_such_order(verb: str, connections: str, timeout: str, words: str) -> None:
    with pytest.raises(OrderError, match=words):
        Command.parse(verb, connections=connections, timeout=timeout)
