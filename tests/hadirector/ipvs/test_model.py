"""Values: what they refuse, how they read, and that equality is sameness in the kernel."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    Table,
    Tunnel,
    TunnelType,
    VirtualAddress,
)

V4 = ip_address("192.0.2.100")
V6 = ip_address("2001:db8::100")
WEB = VirtualAddress(Protocol.TCP, V4, 80)
SERVER = Destination(DestinationKey(ip_address("198.51.100.21"), 8080))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (WEB, "tcp 192.0.2.100:80"),
        (VirtualAddress(Protocol.UDP, V6, 53), "udp [2001:db8::100]:53"),
        (FirewallMark(7), "fwmark 7"),
        (FirewallMark(7, 6), "fwmark 7 (IPv6)"),
        (SERVER.key, "198.51.100.21:8080"),
        (SERVER, "198.51.100.21:8080, weight 1, nat"),
        (Tunnel(TunnelType.GUE, 6080, 1), "gue port 6080 flags 0x1"),
        (Persistence(300, 0xFFFFFF00, "sip"), "300 s netmask 255.255.255.0 engine sip"),
        (Persistence(300, 64), "300 s netmask /64"),
        (ServiceFlag(0), "none"),
        (ServiceFlag(0x4C), "one-packet+scheduler-1+0x40"),
        (
            Service(WEB, "sh", Persistence(60), ServiceFlag.SCHEDULER_2),
            "tcp 192.0.2.100:80, scheduler sh, persistent 60 s, flags sh-port",
        ),
    ],
)
def test_values_read_as_people_write_them(value: object, text: str) -> None:
    assert str(value) == text


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: VirtualAddress(Protocol.TCP, V4, 65536), "port 65536 is outside 0..65535"),
        (lambda: DestinationKey(V4, -1), "port -1 is outside"),
        (lambda: DestinationKey(ip_address("fe80::1%eth0"), 80), "no scoped addresses"),
        (lambda: FirewallMark(0), "mark 0 means no mark"),
        (lambda: FirewallMark(2**32), "mark 4294967296 is outside"),
        (lambda: FirewallMark(7, 5), "neither 4 nor 6"),
        (lambda: Service(WEB, ""), "needs a scheduler"),
        (lambda: Service(WEB, "a" * 16), "longer than 15 bytes"),
        (lambda: Persistence(-1), "time-out -1 is outside"),
        (lambda: Persistence(1, 2**32), "netmask 4294967296 is outside"),
        (lambda: replace(SERVER, weight=2**31), "does not fit 32 bits"),
        (lambda: replace(SERVER, upper=-1), "upper threshold -1 is outside"),
        (lambda: replace(SERVER, tunnel=Tunnel(TunnelType.GRE)), "mean nothing with forward nat"),
        (lambda: Tunnel(port=65536), "tunnel port 65536"),
        (lambda: Table.of((Service(WEB), []), (Service(WEB), [])), "tcp 192.0.2.100:80 is there"),
        (lambda: Table.of((Service(WEB), [SERVER, SERVER])), "has 198.51.100.21:8080 twice"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_netmask_that_tells_all_apart_is_none() -> None:
    whole = Service(WEB, "wlc", Persistence(300, 0xFFFFFFFF))
    assert whole == Service(WEB, "wlc", Persistence(300))
    wide = FirewallMark(7, 6)
    assert Service(wide, persistence=Persistence(300, 128)) == Service(
        wide, persistence=Persistence(300)
    )


def test_counters_unknown_attributes_and_order_make_no_difference() -> None:
    other = replace(SERVER, key=DestinationKey(V6, 80), forward=Forward.TUN)
    counted = Entry(
        replace(Service(WEB), unknown=((99, b"new"),)),
        {other.key: other, SERVER.key: replace(SERVER, unknown=((99, b"new"),))},
        {SERVER.key: Counters(active=3)},
    )
    assert Table({WEB: counted}) == Table.of((Service(WEB), [SERVER, other]))


def test_usable_means_a_weight_above_zero() -> None:
    table = Table.of((Service(WEB), [replace(SERVER, weight=0)]))
    assert not table[WEB].usable
    assert Table.of((Service(WEB), [SERVER]))[WEB].usable


def test_a_large_table_is_short_for_programmers_too() -> None:
    # asyncio.run makes this text of what it returns: 17 MB of a table of 40,000 servers.
    many = Table.of(*((Service(FirewallMark(mark)), ()) for mark in range(1, 1001)))
    assert repr(many) == "Table(<1000 services>, ())"
    few = Table.of((Service(FirewallMark(7)), ()))
    assert "FirewallMark(mark=7, version=4)" in repr(few)
