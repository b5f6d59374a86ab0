"""What a plan would cost the clients, from the counters; and how many entries it touches."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given

from hadirector.impact import Impact, Quorum, impact
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    Protocol,
    Service,
    Table,
    VirtualAddress,
)
from hadirector.plan import Undeclared, plan
from tests.hadirector.ipvs.strategies import tables

WEB = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)


def server(last: int, weight: int = 1) -> Destination:
    return Destination(DestinationKey(ip_address(f"198.51.100.{last}"), 80), weight=weight)


def busy(*servers: Destination) -> Table:
    """A table in which every server has connections: as many as its address ends in."""
    counters = {
        each.key: Counters(active=each.key.address.packed[-1], persistent=1) for each in servers
    }
    destinations = {each.key: each for each in servers}
    return Table({WEB: Entry(Service(WEB), destinations, counters)})


def found(desired: Table, actual: Table, needed: int = 1) -> Impact:
    ahead = plan(desired, actual, undeclared=Undeclared.REMOVE)
    return impact(ahead, actual, desired, {WEB: Quorum("web", needed)})


def test_removed_servers_count_with_their_connections() -> None:
    desired = Table.of((Service(WEB), [server(21)]))
    assert found(desired, busy(server(21), server(22), server(23)), needed=2) == Impact(
        (
            "removes 2 servers with 45 active connections and 2 persistent clients",
            "quorum of web falls below 2",
        ),
        2,
    )


def test_a_weight_of_zero_takes_new_connections() -> None:
    desired = Table.of((Service(WEB), [server(21), server(22, 0)]))
    assert found(desired, busy(server(21), server(22))) == Impact(
        ("takes new connections from 1 server with 22 active connections and 1 persistent client",),
        1,
    )


def test_a_service_without_a_server_is_told_as_such() -> None:
    assert found(Table.of((Service(WEB), [])), busy(server(21))).sentences[-1] == (
        "leaves web without a server"
    )
    gone = found(Table(), busy(server(21), server(22)))
    assert gone == Impact(
        (
            "removes 2 servers with 43 active connections and 2 persistent clients",
            "leaves web without a server",
        ),
        3,
    )


def test_what_gives_has_no_impact() -> None:
    desired = Table.of((replace(Service(WEB), scheduler="rr"), [server(21, 5), server(22)]))
    assert found(desired, busy(server(21))) == Impact((), 2)
    assert found(desired, Table()) == Impact()


@given(tables())
def test_what_matches_has_no_impact(table: Table) -> None:
    assert impact(plan(table, table), table, table, {}) == Impact()
