"""What the VRRP worker is told of the configuration: priority, source, how often to beat."""

from ipaddress import IPv4Address, IPv4Interface, ip_address

import pytest

from hadirector import limits
from hadirector.config.model import Config, Node
from hadirector.elections import heartbeat_bound_s, router_settings
from vrrp.config import VirtualRouter


def router(
    name: str = "front", network: str = "192.0.2.100/24", advertise: float = 1.0
) -> VirtualRouter:
    return VirtualRouter(
        name=name,
        vrid=51,
        interface="eth0",
        advertise=advertise,
        addresses=(IPv4Interface(network),),
    )


def config(*routers: VirtualRouter, address: str = "192.0.2.11") -> Config:
    nodes = {"lb1": Node(ip_address(address), 254), "lb2": Node(ip_address("192.0.2.12"), 253)}
    return Config(nodes=nodes, virtual_routers=routers, services=())


def test_each_node_has_its_own_priority_and_source() -> None:
    pair = config(router())
    (mine,), (theirs,) = router_settings(pair, "lb1"), router_settings(pair, "lb2")
    assert (mine.priority, mine.source) == (254, IPv4Address("192.0.2.11"))
    assert (theirs.priority, theirs.source) == (253, IPv4Address("192.0.2.12"))
    assert (mine.name, mine.vrid, mine.addresses) == ("front", 51, theirs.addresses)


@pytest.mark.parametrize("address", ["203.0.113.11", "2001:db8::11"])
def test_a_node_outside_the_network_leaves_the_source_to_the_interface(address: str) -> None:
    (settings,) = router_settings(config(router(), address=address), "lb1")
    assert settings.source is None


def test_the_back_side_has_another_source() -> None:
    pair = config(router(), router("back", "198.51.100.1/24"))
    assert [s.source for s in router_settings(pair, "lb1")] == [IPv4Address("192.0.2.11"), None]


@pytest.mark.parametrize(
    ("intervals", "bound_s"),
    [
        ((), limits.DIRECTOR_HEARTBEAT_S),
        ((1.0,), 2.0),
        ((1.0, 0.3), 0.6),
        ((0.01,), limits.VRRP_HEARTBEAT_MIN_S),
        ((40.0,), 80.0),
    ],
)
def test_a_frozen_worker_is_noticed_before_its_peer_gives_up(
    intervals: tuple[float, ...], bound_s: float
) -> None:
    pair = config(*(router(str(number), advertise=each) for number, each in enumerate(intervals)))
    assert heartbeat_bound_s(pair) == pytest.approx(bound_s)
