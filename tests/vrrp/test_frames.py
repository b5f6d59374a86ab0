"""Frames of our own making, checked by taking them apart again."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrp.dissect import dissect
from vrrp.frames import multicast_frame
from vrrp.packet import (
    MULTICAST_IPV4,
    MULTICAST_IPV6,
    Advertisement,
    encode,
    internet_checksum,
    split_datagram,
)

SAID = Advertisement(
    version=3, vrid=51, priority=254, interval_cs=100, addresses=(IPv4Address("192.0.2.100"),)
)
MAC = bytes.fromhex("00005e000133")


def test_golden_bytes() -> None:
    source = IPv4Address("192.0.2.11")
    frame = multicast_frame(encode(SAID, source), source, MULTICAST_IPV4, MAC)
    assert frame[:34].hex() == (
        "01005e000012 00005e000133 0800 45c0 0020 0000 4000 ff70"
        f"{frame[24:26].hex()} c000020b e0000012"
    ).replace(" ", "")
    assert internet_checksum(frame[14:34]) == 0


@given(source=st.ip_addresses(v=4), payload=st.binary(min_size=8, max_size=1400))
def test_ipv4_survives(source: IPv4Address, payload: bytes) -> None:
    frame = multicast_frame(payload, source, MULTICAST_IPV4, MAC)
    datagram = split_datagram(frame[14:])
    assert (datagram.source, datagram.destination) == (source, MULTICAST_IPV4)
    assert (datagram.ttl, datagram.payload) == (255, payload)


@given(host=st.integers(1, 2**64 - 1))
def test_ipv6_survives(host: int) -> None:
    source = IPv6Address((0xFE80 << 112) + host)
    said = Advertisement(
        version=3, vrid=51, priority=254, interval_cs=100, addresses=(IPv6Address("fe80::100"),)
    )
    mac = bytes.fromhex("00005e000233")
    told = dissect(multicast_frame(encode(said, source), source, MULTICAST_IPV6, mac))
    assert told.problems == []
    assert (told.source, told.vrid, told.hardware) == (source, 51, "00:00:5e:00:02:33")


def test_two_versions_of_ip_do_not_mix() -> None:
    with pytest.raises(ValueError, match="not of the same version"):
        multicast_frame(b"", ip_address("192.0.2.11"), MULTICAST_IPV6, MAC)
