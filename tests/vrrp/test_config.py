"""What the annotations cannot say about a virtual router's settings."""

import dataclasses
from ipaddress import IPv4Address, IPv4Interface

import pytest

from tests.vrrp.stories import settings
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
