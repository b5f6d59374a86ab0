"""What is heard, added up: senders, services, faults by cause, coverage, and its bounds."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from hadirector.ipvs import synctally
from hadirector.ipvs.connections import Connection
from hadirector.ipvs.model import DestinationKey
from hadirector.ipvs.syncproto import SyncMessage, SyncRecord, encode
from hadirector.ipvs.synctally import Coverage, Datagram, Lag, Tally, coverage, datagram_of
from hadirector.sync_ear import hardware_group
from tests.hadirector.ipvs.test_syncproto import WEB

PEER, STRANGER = ip_address("192.0.2.12"), ip_address("192.0.2.66")


def heard(
    *records: SyncRecord, version: int = 1, sync_id: int = 51, source: str = "192.0.2.12"
) -> Datagram:
    data = encode(SyncMessage(version, sync_id, records))
    return Datagram(ip_address(source), 8848, data)


def connection(port: int, state: str = "ESTABLISHED") -> Connection:
    client = DestinationKey(WEB.client.address, port)
    return Connection("TCP", client, WEB.virtual, WEB.server, state, 900)


@pytest.fixture
def tally() -> Tally:
    return Tally(sync_id=51, now=100.0)


def test_records_are_counted_by_sender_and_by_service(tally: Tally) -> None:
    marked = WEB._replace(mark=7, client_port=2)
    tally.hear(heard(WEB, WEB._replace(client_port=1), marked), 101.0, own=False)
    tally.hear(heard(WEB), 102.0, own=False)
    assert (tally.datagrams, tally.records, len(tally.known)) == (2, 4, 3)
    assert tally.services == {("tcp", "192.0.2.100:80"): 0, ("fwmark", "7"): 4} or (
        tally.services[("fwmark", "7")] == 4
    )
    sender = tally.senders["192.0.2.12"]
    assert (sender.records, sender.ids, sender.versions, sender.last_at) == (4, {51}, {1}, 102.0)
    assert not sender.wrong
    assert tally.seconds(104.0) == 4.0


def test_what_is_not_ours_or_damaged_is_counted_by_cause_and_believed_by_nobody(
    tally: Tally,
) -> None:
    tally.hear(heard(WEB, sync_id=9, source="192.0.2.66"), 101.0, own=False)
    tally.hear(Datagram(STRANGER, 8848, b"\0\0"), 101.0, own=False)
    assert tally.senders["192.0.2.66"].wrong == {"foreign-id": 1, "truncated": 1}
    assert not tally.known
    tally.hear(heard(WEB, version=0), 101.0, own=False)
    assert tally.senders["192.0.2.12"].wrong == {"other-version": 1}
    assert len(tally.known) == 1


def test_whatever_is_sent_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SENDERS_MAX", "SERVICES_MAX", "CONNECTIONS_MAX"):
        monkeypatch.setattr(synctally, name, 2)
    tally = Tally(sync_id=None, now=0.0)
    for number in range(9):
        record = WEB._replace(client_port=number, virtual_port=number, mark=0)
        tally.hear(heard(record, source=f"192.0.2.{number + 1}"), 1.0, own=False)
    assert (len(tally.senders), len(tally.services), len(tally.known)) == (2, 2, 2)
    assert tally.unheard == 3 * 7
    assert tally.records == 9


def test_coverage_of_what_goes_on(tally: Tally) -> None:
    ends = WEB._replace(client_port=3, state=4)
    template = WEB._replace(client_port=0, flags=0x1000)
    tally.hear(heard(WEB, WEB._replace(client_port=2), ends, template), 101.0, own=False)
    local = [connection(40000), connection(5), connection(6, "FIN_WAIT"), connection(0)]
    held, told = coverage(tally, local)
    assert (held, told) == (Coverage(2, 1), Coverage(2, 1))
    assert held.share == 0.5
    assert Coverage(0, 0).share is None


UDP = bytes.fromhex("9c40 2290 000c 0000") + b"data"
V4 = bytes.fromhex("45000020 00000000 01110000 c000020c e0000051")
V6 = bytes.fromhex("60000000 000c 11 01") + PEER.packed * 4 + bytes(16)


def test_how_long_after_its_beginning_a_connection_is_told_of(tally: Tally) -> None:
    lag = Lag()
    lag.look(tally, [connection(1)], 10.0)  # stood before: nothing is known of its beginning
    lag.look(tally, [connection(port) for port in (1, 2, 3, 4)], 11.0)
    assert lag.told_after_s == []
    assert lag.waiting_s(11.5) == [1.5, 1.5, 1.5]
    tally.hear(heard(WEB._replace(client_port=2)), 11.5, own=True)
    lag.look(tally, [connection(1), connection(2), connection(3)], 12.0)  # 4 has ended
    assert lag.told_after_s == [2.0]
    assert lag.waiting_s(13.0) == [3.0]
    tally.hear(heard(WEB._replace(client_port=5)), 12.5, own=True)
    lag.look(tally, [connection(3), connection(5)], 13.0)
    assert lag.told_after_s == [2.0, 1.0]


@pytest.mark.parametrize("header", [V4, V6])
def test_the_datagram_in_a_packet(header: bytes) -> None:
    found = datagram_of(header + UDP + b"padding")
    assert found is not None
    assert (found.port, found.payload) == (8848, b"data")


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x55" * 60,
        V4 + UDP[:-1],
        V4[:6] + b"\x20\0" + V4[8:] + UDP,  # the first of several fragments
        V4[:9] + b"\6" + V4[10:] + UDP,  # TCP
        V6[:6] + b"\6" + V6[7:] + UDP,
        V6[:20],
    ],
)
def test_what_is_no_whole_datagram_is_none(packet: bytes) -> None:
    assert datagram_of(packet) is None


def test_the_ethernet_addresses_of_groups() -> None:
    assert hardware_group(ip_address("224.0.0.81")).hex(":") == "01:00:5e:00:00:51"
    assert hardware_group(ip_address("239.255.1.2")).hex(":") == "01:00:5e:7f:01:02"
    assert hardware_group(ip_address("ff02::81")).hex(":") == "33:33:00:00:00:81"
