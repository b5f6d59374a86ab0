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
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    ServiceKey,
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


def test_a_quorum_that_is_not_reached_is_told() -> None:
    desired = Table.of((Service(WEB), [server(21), server(22, 0)]))
    told = "quorum of web is not reached: 1 of 2"
    assert found(desired, Table(), needed=2).sentences == (told,)
    assert found(desired, busy(server(21)), needed=2).sentences == (told,)


def test_a_threshold_below_the_present_connections_closes_a_server() -> None:
    def limited(upper: int) -> Table:
        return Table.of((Service(WEB), [replace(server(21), upper=upper), server(22)]))

    closed = (
        "takes new connections from 1 server with 21 active connections and 1 persistent client"
    )
    assert found(limited(21), busy(server(21), server(22))).sentences == (closed,)
    assert found(limited(22), busy(server(21), server(22))).sentences == ()


def test_persistence_that_forgets_its_clients_is_told() -> None:
    def kept(persistence: Persistence | None) -> Service:
        return Service(WEB, persistence=persistence)

    before = busy(server(21), server(22))
    entry = before[WEB]
    before = Table({WEB: replace(entry, service=kept(Persistence(300)))})
    for after, told in (
        (Persistence(60), "the persistence of web has another time-out for new clients"),
        (Persistence(300, 0xFFFFFF00), "persistence forgets 2 clients of web"),
        (None, "persistence forgets 2 clients of web"),
    ):
        desired = Table.of((kept(after), [server(21), server(22)]))
        assert found(desired, before).sentences == (told,)


def test_a_hash_that_sends_clients_elsewhere_is_told() -> None:
    def hashed(*servers: Destination, scheduler: str = "mh", flags: int = 0) -> Table:
        service = Service(WEB, scheduler, flags=ServiceFlag(flags))
        return Table({WEB: replace(busy(*servers)[WEB], service=service)})

    few = [server(last) for last in range(21, 25)]
    [told] = found(hashed(*few, server(25)), hashed(*few)).sentences
    share, _, rest = told.partition("% ")
    assert rest == "of the clients of web go to another server (mh)"
    assert 15 < float(share) < 30  # a fifth goes to the new one
    assert found(hashed(*few, server(25), scheduler="wlc"), hashed(*few)).sentences == (
        "clients of web go elsewhere: scheduler wlc, no longer mh",
    )
    drained = [server(21, 0), *few[1:]]
    assert found(hashed(*drained, scheduler="sh"), hashed(*few, scheduler="sh")).sentences[-1] == (
        "turns away the clients of what is drained in web: sh has no fallback here"
    )
    fallback = {"scheduler": "sh", "flags": int(ServiceFlag.SCHEDULER_1)}
    [only] = found(hashed(*drained, **fallback), hashed(*few, **fallback)).sentences  # type: ignore[arg-type]
    assert only.startswith("takes new connections from 1 server")


def test_several_services_of_the_kernel_are_one_to_people() -> None:
    other = replace(WEB, port=81)
    actual = Table(
        {**busy(server(21)), other: replace(busy(server(21))[WEB], service=Service(other))}
    )
    desired = Table.of((Service(WEB), []), (Service(other), []))
    names: dict[ServiceKey, Quorum] = {key: Quorum("web", 1) for key in (WEB, other)}
    told = impact(plan(desired, actual), actual, desired, names).sentences
    assert told[1:] == ("leaves web without a server",)


@given(tables())
def test_what_matches_has_no_impact(table: Table) -> None:
    assert impact(plan(table, table), table, table, {}) == Impact()
