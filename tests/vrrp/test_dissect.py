"""What is told about a packet: golden ones, each rule that can be broken, never an exception."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation import mutate
from vrrp.dissect import Dissection, dissect
from vrrp.packet import MULTICAST_IPV4, Advertisement, ChecksumForm, PacketError, decode, encode

SOURCE = IPv4Address("192.0.2.1")
V2 = "2133960201011ad7c0000233c00002347333637265746c6f"
V3 = "313496010032d3c9c000023d"
IP = "45c00020000100" + "00ff700000c0000201e0000012"


def meanings(told: Dissection) -> dict[str, str]:
    return {field.name: field.meaning for field in told.fields}


def test_version_3_with_its_ethernet_frame() -> None:
    frame = "01005e00001200005e0001340800" + IP + V3 + "00" * 6  # padded to a whole frame
    told = dissect(bytes.fromhex(frame))
    assert told.problems == []
    assert meanings(told) == {
        "Ethernet source": "00:00:5e:00:01:34 (the virtual MAC of VRID 52)",
        "source": "192.0.2.1",
        "destination": "224.0.0.18 (the multicast group)",
        "TTL": "255",
        "version, type": "version 3, advertisement",
        "VRID": "52",
        "priority": "150",
        "addresses": "1 follow",
        "interval": "500 ms",
        "checksum": "right, with pseudo-header",
        "virtual address": "192.0.2.61",
    }


def test_the_virtual_mac_of_another_virtual_router_is_wrong() -> None:
    told = dissect(bytes.fromhex("01005e00001200005e0001350800" + IP + V3))
    assert told.problems == ["it comes from the virtual MAC of VRID 53"]


def test_version_2_hides_the_password() -> None:
    told = dissect(bytes.fromhex(V2))
    assert told.problems == []
    assert told.form is ChecksumForm.PLAIN
    assert told.authentication == "password"
    assert "73336372" not in str(told)
    assert "s3cret" not in str(told)


def test_ipv6_in_its_datagram() -> None:
    source = IPv6Address("fe80::1")
    one = Advertisement(
        vrid=53, priority=255, interval_cs=100, addresses=(IPv6Address("fe80::53"),)
    )
    pdu = encode(one, source)
    group = IPv6Address("ff02::12").packed
    header = bytes.fromhex("6c000000") + len(pdu).to_bytes(2) + b"\x70\xff" + source.packed + group
    told = dissect(header + pdu)
    assert told.problems == []
    assert meanings(told)["priority"] == "255: owns the addresses"
    assert meanings(told)["virtual address"] == "fe80::53"
    assert "hop limit" in meanings(told)


def test_without_a_source_the_pseudo_header_cannot_be_judged() -> None:
    told = dissect(bytes.fromhex(V3))
    assert meanings(told)["checksum"].startswith("cannot be judged")
    assert dissect(bytes.fromhex(V3), SOURCE).form is ChecksumForm.PSEUDO_HEADER


def test_a_keyed_hash_block_is_named() -> None:
    block = bytes((1, 7, 0, 0)) + (1000).to_bytes(4) + bytes(2) + (3).to_bytes(2) + bytes(16)
    told = dissect(bytes.fromhex(V3) + block, SOURCE)
    assert told.problems == []
    assert meanings(told)["authentication block"] == "keyed hash, key 7, sent at 1000 s, counter 3"


BROKEN = [
    ("", "there is nothing in it"),
    ("3134", "2 bytes are no advertisement, which has at least 8"),
    ("51" + V3[2:], "version 5 is neither 2 nor 3"),
    ("32" + V3[2:], "type 2 is not an advertisement, which is 1"),
    ("3100" + V3[4:], "VRID 0 is not allowed"),
    (V3[:6] + "00" + V3[8:16], "an advertisement without addresses"),
    (V3[:8] + "0000" + V3[12:], "an interval of zero, which has to be discarded"),
    (V3[:12] + "0000" + V3[16:], "the checksum is 0000, right would be 765a (plain) or d3c9"),
    (V3[:-2], "11 bytes, where its addresses need 12"),
    (V3 + "00", "1 bytes too many"),
    (V2[:8] + "09" + V2[10:], "authentication of type 9 is not known"),
    (IP.replace("ff70", "fe70") + V3, "TTL 254 is not 255: it was not sent on this link"),
    (IP.replace("ff70", "ff11") + V3, "IP protocol 17 is not VRRP, which is 112"),
]


@pytest.mark.parametrize(("octets", "problem"), BROKEN)
def test_each_broken_rule_is_told(octets: str, problem: str) -> None:
    told = dissect(bytes.fromhex(octets), SOURCE)
    assert any(sentence.startswith(problem) for sentence in told.problems), told.problems


@given(st.integers(0, 2**32))
def test_it_finds_fault_with_exactly_what_the_decoder_refuses(seed: int) -> None:
    rng = random.Random(seed)
    pdu = mutate.mutated(rng, rng.choice(mutate.IPV4))
    if rng.random() < 0.7:
        pdu = mutate.with_checksum(rng, pdu, SOURCE, MULTICAST_IPV4)
    try:
        decode(pdu, SOURCE)
        accepted = True
    except PacketError:
        accepted = False
    if len(pdu) < 14 or pdu[0] >> 4 not in (4, 6):  # else it is taken for a datagram
        assert (dissect(pdu, SOURCE).problems == []) is accepted


@given(st.binary(max_size=120))
def test_nothing_makes_it_raise(data: bytes) -> None:
    dissect(data)
    dissect(data, SOURCE)
