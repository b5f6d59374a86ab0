import struct
from ipaddress import ip_address

import pytest

from hadirector.lab.errors import LabError
from hadirector.lab.observe import (
    AddressChange,
    Observer,
    Span,
    decode_changes,
    overlap_ms,
    spans,
)

VIP = ip_address("192.0.2.100")


def change(at: float, machine: str, added: bool) -> AddressChange:
    return AddressChange(at, machine, 2, VIP, added)


def message(kind: int, index: int, *attributes: tuple[int, bytes]) -> bytes:
    body = struct.pack("=BBBBI", 2, 24, 0x80, 0, index)
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value
        body += bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_addresses_are_read_from_the_kernels_messages() -> None:
    # RTM_NEWADDR with IFA_ADDRESS (the peer) and IFA_LOCAL, RTM_DELADDR with IFA_ADDRESS alone.
    peer, local, label = (1, bytes([10, 0, 0, 9])), (2, VIP.packed), (3, b"eth0\0")
    data = message(20, 2, peer, local, label) + message(99, 1) + message(21, 7, (1, VIP.packed))
    assert list(decode_changes(data)) == [(2, VIP, True), (7, VIP, False)]


def test_a_broken_message_is_not_taken_for_silence() -> None:
    with pytest.raises(LabError, match="rtnetlink message"):
        list(decode_changes(message(20, 2)[:-4]))


def test_spans_of_holding_an_address() -> None:
    noted = [
        change(1.0, "lb1", True),
        change(1.5, "lb1", True),  # refreshed
        change(2.0, "lb2", True),
        change(2.5, "lb1", False),
        change(9.0, "lb1", False),  # never had it
    ]
    assert spans(noted) == {VIP: [Span("lb1", 1.0, 2.5), Span("lb2", 2.0, None)]}


def test_two_holders_at_once_are_measured() -> None:
    held = [Span("lb1", 1.0, 2.5), Span("lb2", 2.0, None)]
    assert overlap_ms(held, since=0.0, until=10.0) == pytest.approx(500)
    assert overlap_ms(held, since=2.2, until=10.0) == pytest.approx(300)
    assert overlap_ms(held, since=3.0, until=10.0) == 0.0


def test_a_machine_without_power_holds_nothing() -> None:
    held = [Span("lb1", 1.0, 9.0), Span("lb2", 2.0, None)]
    assert overlap_ms(held, since=0.0, until=10.0, ignore={"lb1": 2.001}) == pytest.approx(1)


def test_handing_over_at_one_instant_is_no_overlap() -> None:
    held = [Span("lb1", 1.0, 2.0), Span("lb2", 2.0, 3.0), Span("lb1", 3.0, None)]
    assert overlap_ms(held, since=0.0, until=10.0) == 0.0


def test_an_observer_needs_something_to_observe() -> None:
    with pytest.raises(ValueError, match="nothing to observe"):
        Observer({})
