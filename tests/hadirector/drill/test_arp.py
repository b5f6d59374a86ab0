"""Which frames announce an address: those that the VRRP worker sends, and no question or answer."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from hadirector.drill.arp import announced
from vrrp.announce import gratuitous_arp

ADDRESS = IPv4Address("192.0.2.100")
HARDWARE = bytes.fromhex("00005e000133")
FRAME = gratuitous_arp(ADDRESS, HARDWARE)
OTHER = IPv4Address("192.0.2.1").packed


def test_what_the_vrrp_worker_sends_is_an_announcement() -> None:
    assert announced(FRAME) == ADDRESS
    assert announced(FRAME + bytes(18)) == ADDRESS  # padded to the shortest frame of Ethernet


@pytest.mark.parametrize("frame", [FRAME[:38] + OTHER, FRAME[:28] + OTHER + FRAME[32:], FRAME[:41]])
def test_a_question_an_answer_and_a_stump_are_none(frame: bytes) -> None:
    assert announced(frame) is None
