"""What the annotations cannot say about a virtual router's settings."""

import dataclasses
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

import pytest

from tests.vrrp.stories import settings
from vrrp.choices import ChecksumChoice
from vrrp.config import RouterSettings, VirtualRouter

ROUTER = VirtualRouter(
    name="front", vrid=51, interface="eth0", addresses=(IPv4Interface("192.0.2.100/24"),)
)


def test_defaults() -> None:
    assert (ROUTER.advertise, ROUTER.interval_cs, ROUTER.preempt) == (1.0, 100, True)


@pytest.mark.parametrize(("advertise", "interval_cs"), [(0.01, 1), (0.07, 7), (40.95, 4095)])
def test_intervals_in_steps_of_the_wire(advertise: float, interval_cs: int) -> None:
    assert dataclasses.replace(ROUTER, advertise=advertise).interval_cs == interval_cs


def test_an_interval_between_the_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="15ms cannot be sent; VRRP counts in 10ms steps"):
        dataclasses.replace(ROUTER, advertise=0.015)


def test_an_address_twice_is_refused() -> None:
    twice = (IPv4Interface("192.0.2.100/24"), IPv4Interface("192.0.2.100/32"))
    with pytest.raises(ValueError, match="twice"):
        dataclasses.replace(ROUTER, addresses=twice)


def test_settings_of_a_director_take_over_every_field() -> None:
    mine = RouterSettings.of(ROUTER, priority=254, source=IPv4Address("192.0.2.11"))
    for field in dataclasses.fields(VirtualRouter):
        assert getattr(mine, field.name) == getattr(ROUTER, field.name)
    assert (mine.priority, str(mine.source)) == (254, "192.0.2.11")
    assert settings().source is None


def test_a_delay_of_what_never_happens_is_refused() -> None:
    with pytest.raises(ValueError, match="preempt_delay: nothing is delayed, since preempt is"):
        dataclasses.replace(ROUTER, preempt=False, preempt_delay=10.0)


OLD = dataclasses.replace(ROUTER, version=2)
LINK_LOCAL, GLOBAL = IPv6Interface("fe80::100/64"), IPv6Interface("2001:db8::100/64")
SIX = dataclasses.replace(ROUTER, addresses=(LINK_LOCAL, GLOBAL))
PEERS = (IPv4Address("192.0.2.11"), IPv4Address("192.0.2.12"))


def test_family_and_secret_follow_from_the_options() -> None:
    assert (ROUTER.family, SIX.family) == (4, 6)
    assert dataclasses.replace(OLD, password="s3cretlo").secret == b"s3cretlo"
    assert "s3cretlo" not in repr(dataclasses.replace(OLD, password="s3cretlo"))


@pytest.mark.parametrize(
    ("router", "changes", "sentence"),
    [
        (OLD, {"advertise": 0.5}, "advertise: .*whole seconds"),
        (OLD, {"advertise": 1.5}, "advertise: .*whole seconds"),
        (OLD, {"addresses": (LINK_LOCAL,)}, "addresses: version 2 is for IPv4"),
        (OLD, {"checksum": ChecksumChoice.PLAIN}, "checksum: only version 3 over IPv4"),
        (OLD, {"password": "tab\t"}, "password: only printable"),
        (ROUTER, {"password": "secret"}, "password: version 3 has none"),
        (ROUTER, {"advertise": 41.0}, "advertise: 41s; version 3 can say at most 40.95s"),
        (ROUTER, {"addresses": (*ROUTER.addresses, GLOBAL)}, "addresses: .* cannot share"),
        (ROUTER, {"min_ttl": 254}, "min_ttl: only unicast"),
        (ROUTER, {"max_ttl": 254}, "max_ttl: only unicast"),
        (ROUTER, {"peers": (IPv6Address("fe80::1"),)}, "peers: the virtual addresses are IPv4"),
        (ROUTER, {"peers": PEERS * 2}, "peers: the same address"),
        (ROUTER, {"peers": (IPv4Address("224.0.0.18"),)}, "peers: a multicast address"),
        (ROUTER, {"peers": (IPv4Address("192.0.2.100"),)}, "peers: a virtual address"),
        (ROUTER, {"peers": PEERS, "max_ttl": 64}, "max_ttl: 64 is below the min_ttl of 255"),
        (SIX, {"addresses": (GLOBAL, LINK_LOCAL)}, "addresses: the first .* link-local"),
        (SIX, {"addresses": (IPv6Interface("fe80::1%eth0/64"),)}, "addresses: write no %zone"),
        (SIX, {"checksum": ChecksumChoice.PLAIN}, "checksum: only version 3 over IPv4"),
    ],
)
def test_what_does_not_go_together_is_refused_by_field(
    router: VirtualRouter, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(router, **changes)


def test_a_source_of_the_other_family_is_refused() -> None:
    with pytest.raises(ValueError, match="source: advertisements go over IPv6"):
        RouterSettings.of(SIX, priority=254, source=IPv4Address("192.0.2.11"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"excluded": (IPv4Interface("192.0.2.100/32"),)}, "excluded: 192.0.2.100 stands in a li"),
        ({"label": "vip"}, 'label: it begins with the interface: "eth0:..."'),
        ({"announce_refresh": 0.5}, "announce_refresh: 1s is the least"),
    ],
)
def test_addresses_that_cannot_be_held_so_are_refused(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(ROUTER, **values)


def test_the_label_may_be_that_of_the_interface() -> None:
    assert dataclasses.replace(ROUTER, label="eth0").label == "eth0"
