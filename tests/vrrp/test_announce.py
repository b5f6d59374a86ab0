"""The bytes that move an address in the neighbours' tables."""

from ipaddress import IPv4Address, IPv6Address

from vrrp.announce import Allowance, gratuitous_arp, neighbor_advertisement
from vrrp.packet import internet_checksum, pseudo_header


def test_a_broadcast_request_with_sender_and_target_the_same() -> None:
    frame = gratuitous_arp(IPv4Address("192.0.2.100"), bytes.fromhex("02005e000101"))
    assert frame.hex(" ", 4) == bytes.fromhex(
        "ffffffffffff 02005e000101 0806"  # to everybody, from us, ARP
        "0001 0800 06 04 0001"  # Ethernet, IPv4, their lengths, request
        "02005e000101 c0000264"  # sender
        "000000000000 c0000264"  # target
    ).hex(" ", 4)


def test_an_advertisement_to_all_nodes_with_override() -> None:
    vip, all_nodes = IPv6Address("2001:db8::100"), IPv6Address("ff02::1")
    frame = neighbor_advertisement(vip, bytes.fromhex("02005e000201"))
    assert frame[:14].hex() == "33330000000102005e00020186dd"
    assert frame[14:22].hex() == "6000000000203aff"  # 32 bytes of ICMPv6, hop limit 255
    assert frame[22:54] == vip.packed + all_nodes.packed
    message = frame[54:]
    assert (message[:2].hex(), message[4:8].hex()) == ("8800", "a0000000")  # router, override
    assert message[8:] == vip.packed + bytes.fromhex("020102005e000201")
    assert internet_checksum(pseudo_header(vip, all_nodes, len(message), 58) + message) == 0


def test_so_much_at_once_and_then_so_much_per_second() -> None:
    allowance = Allowance(3, 10.0)
    assert [allowance.take(5.0) for _ in range(4)] == [True, True, True, False]
    assert not allowance.take(5.05)
    assert allowance.take(5.15)
    assert not allowance.take(5.16)
    assert [allowance.take(99.0) for _ in range(4)] == [True, True, True, False]
