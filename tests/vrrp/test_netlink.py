"""Which interfaces a notification is about, however strange it looks."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrp.netlink import changed_indexes, index_of

NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE = 16, 17, 20, 21, 24


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def address(index: int) -> bytes:
    return struct.pack("=BBBBI", 2, 24, 0, 0, index) + bytes(9)


def test_addresses_name_their_interface() -> None:
    data = message(NEWADDR, address(7)) + message(DELADDR, address(9))
    assert changed_indexes(data) == {7, 9}


@pytest.mark.parametrize("kind", [NEWLINK, DELLINK])
def test_news_of_links_concern_everybody(kind: int) -> None:
    assert changed_indexes(message(NEWADDR, address(7)) + message(kind, bytes(16))) is None


def test_other_news_concern_nobody() -> None:
    assert changed_indexes(message(NEWROUTE, bytes(12))) == set()
    assert changed_indexes(b"") == set()


@pytest.mark.parametrize("length", [0, 15, 2000])
def test_impossible_lengths_lead_to_looking_at_everything(length: int) -> None:
    assert changed_indexes(struct.pack("=IHHII", length, NEWADDR, 0, 0, 0)) is None


def test_a_message_cut_short_leads_to_looking_at_everything() -> None:
    assert changed_indexes(struct.pack("=IHHII", 16, NEWADDR, 0, 0, 0)) is None


@given(st.binary(max_size=64))
def test_nonsense_does_no_harm(data: bytes) -> None:
    changed_indexes(data)


def test_a_missing_interface_has_its_number_of_error() -> None:
    with pytest.raises(OSError, match="no interface") as refusal:
        index_of("nosuchinterface")
    assert refusal.value.errno == errno.ENODEV
