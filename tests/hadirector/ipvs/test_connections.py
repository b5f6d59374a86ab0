"""Lines of /proc/net/ip_vs_conn become connections; the filters; what is not understood."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs.connections import (
    Connection,
    Filter,
    is_template_for,
    parse_connection,
    parse_connections,
)
from hadirector.ipvs.model import (
    DestinationKey,
    FirewallMark,
    Persistence,
    Protocol,
    Service,
    VirtualAddress,
)

HEADING = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"
TCP = "TCP C0000201 ABCD C0000264 0050 C6336415 1F90 ESTABLISHED     899\n"
TEMPLATE = "TCP C0000201 0000 C0000264 0050 C6336415 1F90 NONE            299\n"
V6 = (
    "TCP 2001:0db8:0000:0000:0000:0000:0000:0001 1F90 2001:0db8:0000:0000:0000:0000:0000:0100 "
    "0050 C6336415 0050 SYN_RECV         59\n"
)
SIP = "UDP C0000201 0000 C0000264 13C4 C6336415 13C4 UDP            299 sip call 1@x\n"


def key(address: str, port: int) -> DestinationKey:
    return DestinationKey(ip_address(address), port)


CONNECTION = Connection(
    "TCP",
    key("192.0.2.1", 43981),
    key("192.0.2.100", 80),
    key("198.51.100.21", 8080),
    "ESTABLISHED",
    899,
)


def test_every_kind_of_line_is_read() -> None:
    plain, template, v6, sip = parse_connections([HEADING, TCP, TEMPLATE, V6, SIP])
    assert plain == CONNECTION
    assert not CONNECTION.is_template
    assert template is not None
    assert template.is_template
    assert v6 is not None
    assert (v6.client, v6.server) == (key("2001:db8::1", 8080), key("198.51.100.21", 80))
    assert sip is not None
    assert (sip.engine, sip.data) == ("sip", "call 1@x")


def test_what_persistence_remembers_is_by_network() -> None:
    client = ip_address("192.0.2.9")
    web = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)
    template = replace(CONNECTION, client=key("192.0.2.0", 0))
    networked = Service(web, "wlc", Persistence(300, 0xFFFFFF00))
    assert is_template_for(networked, client, template)
    assert not is_template_for(networked, client, CONNECTION)
    assert not is_template_for(Service(web, "wlc", Persistence(300)), client, template)
    assert not is_template_for(Service(web), client, template)
    assert not is_template_for(replace(networked, key=replace(web, port=81)), client, template)
    sip = replace(networked, persistence=Persistence(300, 0xFFFFFF00, "sip"))
    assert not is_template_for(sip, client, template)


def test_what_persistence_remembers_behind_a_mark() -> None:
    four = replace(CONNECTION, protocol="IP", client=key("192.0.2.9", 0), virtual=key("0.0.0.7", 0))
    assert is_template_for(
        Service(FirewallMark(7), "rr", Persistence(9)), four.client.address, four
    )
    assert not is_template_for(
        Service(FirewallMark(8), "rr", Persistence(9)), four.client.address, four
    )
    six = replace(four, client=key("2001:db8::", 0), virtual=key("0:7::", 0))
    marked = Service(FirewallMark(7, 6), "rr", Persistence(9, 64))
    assert is_template_for(marked, ip_address("2001:db8::9"), six)


@pytest.mark.parametrize("line", ["", "\n", "TCP C0000201", TCP.replace("ABCD", "XXXX"), "x " * 9])
def test_what_is_not_understood_is_none(line: str) -> None:
    assert parse_connection(line) is None


@given(st.text(alphabet="0123456789ABCDEF: \nTCP", max_size=120))
def test_no_line_at_all_is_an_error(line: str) -> None:
    parse_connection(line)


@pytest.mark.parametrize(
    ("chosen", "admitted"),
    [
        (Filter(), True),
        (Filter(client=ip_network("192.0.2.0/24")), True),
        (Filter(client=ip_network("2001:db8::/32")), False),
        (Filter(virtual=key("192.0.2.100", 80)), True),
        (Filter(virtual=key("192.0.2.100", 0)), True),
        (Filter(virtual=key("192.0.2.100", 81)), False),
        (Filter(server=key("198.51.100.22", 0)), False),
        (Filter(protocol="UDP"), False),
        (Filter(state="ESTABLISHED", protocol="TCP"), True),
        (Filter(state="FIN_WAIT"), False),
        (Filter(templates=True), False),
        (Filter(templates=False), True),
    ],
)
def test_filters(chosen: Filter, admitted: bool) -> None:
    assert chosen.admits(CONNECTION) == admitted


def test_no_line_is_read_ahead() -> None:
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in (HEADING, *[TCP] * 100):
            read += 1
            yield line

    for shown, _ in enumerate(parse_connections(lines()), 1):
        assert read == shown + 1  # the heading
