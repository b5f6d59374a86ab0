"""The kernel's lines become sync records: what each says, what is left out, and how they are sent.

How it works: every datagram is read again by our own decoder, which is held to captures of real
kernels (test_syncproto), and by tshark; tests/kernel/test_told_connections.py gives them to one.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs.connections import parse_connection
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    Table,
    VirtualAddress,
)
from hadirector.ipvs.syncproto import F_INACTIVE, SyncRecord, decode
from hadirector.ipvs.telling import SAMPLE_MAX, LeftOut, Owners, Telling, key_of, record_of
from tests.hadirector.ipvs.second_opinion import dissected, numbers, write_capture
from tests.prerequisites import require

VIP, VIP6 = ip_address("192.0.2.100"), ip_address("2001:db8::100")
NAT = DestinationKey(ip_address("198.51.100.21"), 8080)
ROUTED = DestinationKey(ip_address("192.0.2.21"), 443)
ANY_PORT = DestinationKey(ip_address("192.0.2.22"), 0)
SIX = DestinationKey(ip_address("2001:db8::21"), 80)
OCTETS_MAX = 1472


def service(
    port: int, protocol: Protocol = Protocol.TCP, *, kept_s: int = 0, six: bool = False
) -> Service:
    key = VirtualAddress(protocol, VIP6 if six else VIP, port)
    return Service(key, persistence=Persistence(kept_s) if kept_s else None)


TABLE = Table.of(
    (service(80, kept_s=300), [Destination(NAT)]),
    (service(443), [Destination(ROUTED, Forward.DR)]),
    (service(21), [Destination(NAT)]),
    (service(53, Protocol.UDP), [Destination(NAT)]),
    (service(2905, Protocol.SCTP), [Destination(NAT)]),
    (service(80, six=True), [Destination(SIX)]),
    (
        Service(FirewallMark(7), persistence=Persistence(60), flags=ServiceFlag.NONE),
        [Destination(ANY_PORT, Forward.DR)],
    ),
    (Service(FirewallMark(8)), [Destination(ANY_PORT, Forward.DR)]),
)
OWNERS = Owners(TABLE)
LINE = "TCP C0000201 ABCD C0000264 01BB C0000215 01BB ESTABLISHED     899\n"


def made(line: str) -> SyncRecord | LeftOut | None:
    one = parse_connection(line)
    assert one is not None
    return record_of(one, OWNERS, ftp_ports=frozenset({21}))


def told(line: str) -> SyncRecord:
    """The record of a line, as who receives it reads it."""
    telling = Telling(TABLE, sync_id=51, octets_max=OCTETS_MAX, ftp_ports=frozenset({21}))
    assert not telling.feed([line])
    [datagram] = telling.finish()
    message = decode(datagram)
    assert (message.version, message.sync_id) == (1, 51)
    [record] = message.records
    return record


@pytest.mark.parametrize(
    ("line", "forward", "state", "timeout_s", "flags"),
    [
        (LINE, Forward.DR, "established", 899, 0),
        (
            "TCP C0000201 ABCD C0000264 0050 C6336415 1F90 FIN_WAIT        0\n",
            *(Forward.NAT, "fin-wait", 1, F_INACTIVE),
        ),
        (
            "TCP C0000201 ABCD C0000264 0050 C6336415 1F90 CLOSE_WAIT      59\n",
            *(Forward.NAT, "close-wait", 59, F_INACTIVE),
        ),
        (
            "UDP C0000201 ABCD C0000264 0035 C6336415 1F90 UDP            299\n",
            *(Forward.NAT, "normal", 299, F_INACTIVE),
        ),
        (
            "SCTP C0000201 ABCD C0000264 0B59 C6336415 1F90 ESTABLISHED    10\n",
            *(Forward.NAT, "established", 10, 0),
        ),
        (
            "SCTP C0000201 ABCD C0000264 0B59 C6336415 1F90 SHUTDOWN_SENT  10\n",
            *(Forward.NAT, "shutdown-sent", 10, F_INACTIVE),
        ),
        (
            f"TCP 2001:db8::1 1F90 {VIP6} 0050 {SIX.address} 0050 ESTABLISHED 77\n",
            *(Forward.NAT, "established", 77, 0),
        ),
    ],
)
def test_a_connection_is_told_as_the_kernel_would(
    line: str, forward: Forward, state: str, timeout_s: int, flags: int
) -> None:
    one, record = parse_connection(line), told(line)
    assert one is not None
    assert (record.client, record.virtual, record.server) == (one.client, one.virtual, one.server)
    assert (record.protocol_name, record.state_name) == (one.protocol.lower(), state)
    assert (record.forward, record.timeout_s, record.mark) == (forward, timeout_s, 0)
    assert record.flags & F_INACTIVE == flags
    assert not record.is_template


def test_a_template_is_told_with_the_whole_timeout_of_its_service() -> None:
    record = told("TCP C0000201 0000 C0000264 0050 C6336415 1F90 ASSURED          3\n")
    assert record.is_template
    assert (record.timeout_s, record.state, record.forward) == (300, 1, Forward.NAT)
    marked = told("IP  C0000201 0000 00000007 0000 C0000216 0000 NONE            3\n")
    assert marked.is_template
    assert (marked.mark, marked.timeout_s, marked.protocol_name) == (7, 60, "ip")
    assert (marked.forward, marked.state) == (Forward.DR, 0)


def test_what_an_engine_keeps_goes_along() -> None:
    record = told("UDP C0000201 ABCD C0000264 0035 C6336415 1F90 UDP            299 sip a b@c\n")
    assert (record.options.engine, record.options.engine_data) == (b"sip", b"a b@c")
    too_long = f"UDP C0000201 ABCD C0000264 0035 C6336415 1F90 UDP 299 sip {'x' * 256}\n"
    assert made(too_long) is LeftOut.LINE


def test_a_connection_of_a_firewall_mark_finds_its_mark_by_its_server() -> None:
    record = told("TCP C0000201 ABCD C0000265 0050 C0000216 0050 ESTABLISHED     899\n")
    assert (record.mark, record.forward) == (7, Forward.DR)


@pytest.mark.parametrize(
    "state", ["NONE", "SYN_SENT", "SYN_RECV", "SYNACK", "TIME_WAIT", "CLOSE", "LAST_ACK", "BUG!"]
)
def test_what_begins_or_ends_is_not_told_of(state: str) -> None:
    assert made(LINE.replace("ESTABLISHED", state)) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("TCP C0000201 ABCD C0000264 0015 C6336415 1F90 ESTABLISHED 899\n", LeftOut.FTP),
        ("TCP C0000201 0000 C0000264 D431 C6336415 D431 LISTEN 59\n", LeftOut.FTP),
        (LINE.replace("01BB", "01BC"), LeftOut.NO_SERVER),  # no such service
        (LINE.replace("C0000215", "C0000299"), LeftOut.NO_SERVER),  # no such server
        ("TCP C0000201 0000 C0000264 01BB C0000215 01BB NONE 59\n", LeftOut.NO_SERVER),
        ("IP  C0000201 0000 00000009 0000 C0000216 0000 NONE 3\n", LeftOut.NO_SERVER),
        ("IP  C0000201 0000 00000000 0000 C0000216 0000 NONE 3\n", LeftOut.NO_SERVER),
        (LINE.replace("899", "4294967296"), LeftOut.LINE),
    ],
)
def test_what_cannot_be_told_is_left_out_and_counted(line: str, why: LeftOut) -> None:
    assert made(line) is why
    telling = Telling(TABLE, sync_id=51, octets_max=OCTETS_MAX, ftp_ports=frozenset({21}))
    assert not telling.feed(["Pro FromIP   FPrt\n", "what is this\n", line])
    assert not telling.finish()
    assert telling.told == 0
    assert telling.left_out == {LeftOut.LINE: 1 + (why is LeftOut.LINE)} | (
        {why: 1} if why is not LeftOut.LINE else {}
    )


def test_without_the_helper_ftp_is_a_connection_like_others() -> None:
    one = parse_connection("TCP C0000201 ABCD C0000264 0015 C6336415 1F90 ESTABLISHED 899\n")
    assert one is not None
    assert isinstance(record_of(one, OWNERS), SyncRecord)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A connection of one of the services, with any client, or one of nobody."""
    port, expires_s = draw(st.integers(2, 0xFFFF)), draw(st.integers(0, 0xFFFFFFFF))
    data = draw(st.sampled_from(["", " sip 1@x", f" sip {'y' * 255}"]))
    if draw(st.booleans()):
        client = draw(st.integers(1, 2**128 - 1).map(IPv6Address)).exploded
        virtual, server = VIP6.exploded, f"{SIX.address.exploded} 0050"
        return f"TCP {client} {port:04X} {virtual} 0050 {server} ESTABLISHED {expires_s}{data}\n"
    client = f"{int(draw(st.integers(1, 2**32 - 1).map(IPv4Address))):08X}"
    state = draw(st.sampled_from(["ESTABLISHED", "FIN_WAIT", "SYN_RECV"]))
    virtual_port = draw(st.sampled_from(["01BB", "0001"]))
    words = f"TCP {client} {port:04X} C0000264 {virtual_port} C0000215 01BB"
    return f"{words} {state} {expires_s}{data}\n"


@given(st.lists(lines(), max_size=120), st.integers(512, 9000))
def test_all_that_goes_on_arrives_in_whole_datagrams(text: list[str], octets_max: int) -> None:
    telling = Telling(TABLE, sync_id=9, octets_max=octets_max)
    datagrams = [*telling.feed(text), *telling.finish()]
    assert all(len(datagram) <= octets_max for datagram in datagrams)
    records = [record for datagram in datagrams for record in decode(datagram).records]
    goes_on = [line for line in text if "SYN_RECV" not in line and " 0001 " not in line]
    assert [str(record.client) for record in records] == [
        str(one.client) for one in map(parse_connection, goes_on) if one is not None
    ]
    assert telling.told == len(records)
    assert telling.sample == [key_of(line) for line in goes_on]
    assert telling.left_out[LeftOut.NO_SERVER] == sum(
        " 0001 " in line and "SYN_RECV" not in line for line in text
    )
    assert not telling.finish()


@pytest.mark.parametrize("count", [SAMPLE_MAX, SAMPLE_MAX + 1, 2 * SAMPLE_MAX + 1, 5000])
def test_the_sample_is_bounded_and_from_all_over_the_table(count: int) -> None:
    telling = Telling(TABLE, sync_id=9, octets_max=OCTETS_MAX)
    telling.feed(LINE.replace("ABCD", f"{port:04X}") for port in range(1, count + 1))
    assert SAMPLE_MAX / 2 <= len(telling.sample) <= SAMPLE_MAX
    places = [int(key.split()[1], 16) for key in telling.sample]
    steps = {later - earlier for earlier, later in pairwise(places)}
    assert places[0] == 1
    assert len(steps) == 1
    assert count - places[-1] <= steps.pop()


PLAIN = [
    LINE,
    LINE.replace("ESTABLISHED", "FIN_WAIT"),
    f"TCP 2001:db8::1 1F90 {VIP6} 0050 {SIX.address} 0050 ESTABLISHED 77\n",
    "UDP C0000201 ABCD C0000264 0035 C6336415 1F90 UDP            299\n",
    "SCTP C0000201 ABCD C0000264 0B59 C6336415 1F90 SHUTDOWN_SENT  10\n",
    "TCP C0000201 0000 C0000264 0050 C6336415 1F90 ASSURED          3\n",
    "IP  C0000201 0000 00000007 0000 C0000216 0000 NONE            3\n",
    "TCP C0000201 ABCD C0000265 0050 C0000216 0050 ESTABLISHED     899\n",  # by a firewall mark
]
WITH_OPTIONS = [
    "UDP C0000201 ABCD C0000264 0035 C6336415 1F90 UDP            299 sip a84b4c76@192.0.2.1\n",
    "TCP C0000201 0000 C0000264 0050 C6336415 1F90 ASSURED          3 sip a84b4c76@192.0.2.1\n",
    f"TCP 2001:db8::1 1F90 {VIP6} 0050 {SIX.address} 0050 ESTABLISHED 77 sip {'y' * 255}\n",
]


def test_tshark_reads_the_same(tmp_path: Path) -> None:
    require("tshark")
    datagrams = []
    # Every kind at once, enough of each version of IP to fill datagrams, and those with options
    # each alone, since tshark loses its place behind options.
    for text in (PLAIN, [LINE] * 41, [PLAIN[2]] * 21, *([line] for line in WITH_OPTIONS)):
        telling = Telling(TABLE, sync_id=51, octets_max=OCTETS_MAX)
        datagrams += [*telling.feed(text), *telling.finish()]
    assert [len(one) for one in datagrams if OCTETS_MAX - len(one) < 36] == [1448, 1448]
    write_capture(tmp_path / "told.pcap", datagrams)
    of_header = ["conncount", "syncid", "version", "size"]
    of_record = {
        "type": "kind", "proto": "protocol", "size.v1": "length", "flags.v1": "flags",
        "state": "state", "cport": "client_port", "vport": "virtual_port", "dport": "server_port",
        "fwmark": "mark", "timeout": "timeout_s",
    }  # fmt: skip
    of_address = {"caddr": "client", "vaddr": "virtual", "daddr": "server"}
    addresses = [f"{name}{family}" for name in of_address for family in ("", "6")]
    seen = dissected(tmp_path / "told.pcap", [*of_header, *of_record, *addresses])
    for theirs, data in zip(seen, datagrams, strict=True):
        records = decode(data).records
        header = [numbers(theirs[name]) for name in of_header]
        assert header == [[len(records)], [51], [1], [len(data)]]
        for name, ours in of_record.items():
            assert numbers(theirs[name]) == [getattr(record, ours) for record in records], name
        for name, ours in of_address.items():
            spelled = [getattr(record, ours).address for record in records]
            assert theirs[name] == [str(one) for one in spelled if one.version == 4]
            assert theirs[f"{name}6"] == [str(one) for one in spelled if one.version == 6]
