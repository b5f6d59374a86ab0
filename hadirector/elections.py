"""From the configuration of the pair to what this node's VRRP worker is told. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address

from hadirector import limits
from hadirector.config.model import Config, Node
from vrrp.config import RouterSettings, VirtualRouter
from vrrp.packet import IPAddress


def router_settings(config: Config, node: str) -> tuple[RouterSettings, ...]:
    """The virtual routers of the file with what differs on this node: priority and source."""
    here = config.nodes[node]
    return tuple(
        RouterSettings.of(router, priority=here.priority, source=_source(router, here))
        for router in config.virtual_routers
    )


def heartbeat_bound_s(config: Config) -> float:
    """How long the VRRP worker may be silent before it counts as frozen, in seconds.

    Two of its shortest advertisement intervals: sooner than the peer gives up on it, so that a
    frozen worker is fenced before the peer takes over.
    """
    intervals = [router.advertise for router in config.virtual_routers]
    if not intervals:
        return limits.DIRECTOR_HEARTBEAT_S
    return max(limits.VRRP_HEARTBEAT_INTERVALS * min(intervals), limits.VRRP_HEARTBEAT_MIN_S)


def _source(router: VirtualRouter, node: Node) -> IPAddress | None:
    """The node's own address where it is one to speak from; else the interface decides.

    That is, where it lies in the router's network or is in its list of peers. Over IPv6 multicast
    it is the interface's link-local address, never this one.
    """
    if router.peers:
        return node.address if node.address in router.peers else None
    networks = [address.network for address in router.addresses]
    if isinstance(node.address, IPv4Address) and any(node.address in net for net in networks):
        return node.address
    return None
