"""From which address a virtual router speaks, and when it cannot."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_interface

import pytest

from tests.vrrp.stories import settings
from vrrp.config import IPInterface, RouterSettings
from vrrp.events import Down, Up
from vrrp.hands import Interface
from vrrp.packet import IPAddress
from vrrp.source import usability

IPV4 = settings()
IPV6 = replace(settings(), addresses=(ip_interface("fe80::100/64"), ip_interface("2001:db8::1/64")))
VIRTUAL: frozenset[IPAddress] = frozenset({*IPV4.plain_addresses, *IPV6.plain_addresses})


def interface(*addresses: str, tentative: tuple[str, ...] = ()) -> Interface:
    def parsed(texts: tuple[str, ...]) -> tuple[IPInterface, ...]:
        return tuple(ip_interface(text) for text in texts)

    untested = frozenset(parsed(tentative))
    return Interface(name="eth0", problem=None, addresses=parsed(addresses), tentative=untested)


PRESENT = interface(
    "192.0.2.100/24", "192.0.2.11/24", "192.0.2.12/24",
    "2001:db8::11/64", "fe80::100/64", "fe80::11/64", "fe80::12/64",
)  # fmt: skip


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        (IPV4, "192.0.2.11"),
        (IPV6, "fe80::11"),
        (replace(IPV4, source=IPv4Address("192.0.2.12")), "192.0.2.12"),
        (replace(IPV6, source=IPv6Address("fe80::12")), "fe80::12"),
        (replace(IPV4, peers=(IPv4Address("192.0.2.12"), IPv4Address("192.0.2.13"))), "192.0.2.12"),
        (replace(IPV4, peers=(IPv4Address("192.0.2.13"),)), "192.0.2.11"),
        (replace(IPV6, peers=(IPv6Address("2001:db8::12"),)), "2001:db8::11"),
        (replace(IPV6, peers=(IPv6Address("fe80::13"),)), "fe80::11"),
    ],
)
def test_the_hosts_own_address(router: RouterSettings, expected: str) -> None:
    found = usability(router, PRESENT, VIRTUAL)
    assert isinstance(found, Up)
    assert str(found.source) == expected


@pytest.mark.parametrize(
    ("router", "present", "sentence"),
    [
        (IPV4, interface("fe80::11/64"), "eth0 has no IPv4 address of its own to send from"),
        (IPV6, interface("2001:db8::11/64", "192.0.2.11/24"), "has no link-local IPv6 address"),
        (IPV6, interface("fe80::100/64"), "has no link-local IPv6 address"),
        (
            IPV6,
            interface("fe80::11/64", tentative=("fe80::11/64",)),
            "has no link-local IPv6 address",
        ),
        (
            replace(IPV4, source=IPv4Address("192.0.2.9")),
            PRESENT,
            "192.0.2.9 is not an address of eth0",
        ),
        (
            replace(IPV6, peers=(IPv6Address("2001:db8::12"),)),
            interface("fe80::11/64"),
            "no address of its own to send to the peers from",
        ),
        (
            replace(IPV4, peers=(IPv4Address("192.0.2.11"),)),
            PRESENT,
            "192.0.2.11 is the only one of the peers",
        ),
    ],
)
def test_without_one_it_cannot_work(
    router: RouterSettings, present: Interface, sentence: str
) -> None:
    found = usability(router, present, VIRTUAL)
    assert isinstance(found, Down)
    assert sentence in found.sentence


def test_the_owner_of_an_address_may_have_no_other() -> None:
    owner = replace(IPV4, priority=255)
    assert usability(owner, interface("192.0.2.100/24"), VIRTUAL) == Up(IPv4Address("192.0.2.100"))


def test_a_problem_comes_first() -> None:
    broken = Interface(name="eth0", problem="interface eth0 is missing")
    assert usability(IPV4, broken, VIRTUAL) == Down("interface eth0 is missing")
