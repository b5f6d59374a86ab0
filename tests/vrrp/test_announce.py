"""The bytes that move an address in the neighbours' tables."""

from ipaddress import IPv4Address

from vrrp.announce import gratuitous_arp


def test_a_broadcast_request_with_sender_and_target_the_same() -> None:
    frame = gratuitous_arp(IPv4Address("192.0.2.100"), bytes.fromhex("02005e000101"))
    assert frame.hex(" ", 4) == bytes.fromhex(
        "ffffffffffff 02005e000101 0806"  # to everybody, from us, ARP
        "0001 0800 06 04 0001"  # Ethernet, IPv4, their lengths, request
        "02005e000101 c0000264"  # sender
        "000000000000 c0000264"  # target
    ).hex(" ", 4)
