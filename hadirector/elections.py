"""From the configuration of the pair to what this node's VRRP worker is told. Pure."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from hadirector import limits
from hadirector.config.model import Config, Node, Service
from hadirector.ipvs.model import VirtualAddress
from vrrp import messages as vrrp_messages
from vrrp.config import RouterSettings, VirtualRouter
from vrrp.packet import IPAddress


def router_settings(config: Config, node: str) -> tuple[RouterSettings, ...]:
    """The virtual routers of the file as this node runs them."""
    here = config.nodes[node]
    return tuple(settings_on(here, router) for router in config.virtual_routers)


def told_to_worker(config: Config, node: str) -> str:
    """What this node's VRRP worker is told of the file, as the line that the supervisor passes on.

    So the supervisor need not understand a configuration, and does without all that takes.
    """
    told = vrrp_messages.Configure(
        routers=router_settings(config, node), heartbeat_s=heartbeat_bound_s(config)
    )
    return vrrp_messages.encode(told).decode().rstrip("\n")


def settings_on(node: Node, router: VirtualRouter) -> RouterSettings:
    """A virtual router as a director runs it: its priority, source, and what differs."""
    own = node.own.get(router.name)
    if own is None:
        return RouterSettings.of(
            router, priority=node.priority, source=source_of(router, node.address)
        )
    if own.source is None:
        return replace(own, source=source_of(own, node.address))
    return own


def preferred(config: Config, router: VirtualRouter) -> str:
    """The director of the highest priority for a virtual router; of equals, the higher address."""
    return max(config.nodes, key=lambda name: _rank(config.nodes[name], router))


def outranks(config: Config, router: VirtualRouter, name: str, other: str) -> bool:
    """Whether a director takes a virtual router over from another one that works."""
    ours, theirs = config.nodes[name], config.nodes[other]
    mine = settings_on(ours, router)
    return mine.priority > settings_on(theirs, router).priority and mine.preempt


def units(config: Config) -> list[tuple[VirtualRouter, ...]]:
    """The virtual routers that change sides together: those of each group, and each without one."""
    found: dict[tuple[str, str], list[VirtualRouter]] = {}
    for router in config.virtual_routers:
        key = ("router", router.name) if router.group is None else ("group", router.group)
        found.setdefault(key, []).append(router)
    return [tuple(together) for together in found.values()]


def carriers(config: Config, service: Service) -> tuple[VirtualRouter, ...]:
    """The virtual routers that decide which director serves a service.

    Those with its first address that any has, and what moves along; where its addresses are on
    several that do not move together, the others are served apart. Of a firewall mark nothing is
    known, so the first.
    """
    together = units(config)
    for listen in service.listens:
        if not isinstance(listen, VirtualAddress):
            continue
        for unit in together:
            if any(listen.address == a.ip for r in unit for a in r.all_addresses):
                return unit
    return together[0] if together else ()


def _rank(node: Node, router: VirtualRouter) -> tuple[int, int, int]:
    settings = settings_on(node, router)
    source = settings.source or node.address
    return settings.priority, source.version, int(source)


def heartbeat_bound_s(config: Config) -> float:
    """How long the VRRP worker may be silent before it counts as frozen, in seconds.

    Two of its shortest advertisement intervals: sooner than the peer gives up on it, so that a
    frozen worker is fenced before the peer takes over.
    """
    intervals = [router.advertise for router in config.virtual_routers]
    if not intervals:
        return limits.DIRECTOR_HEARTBEAT_S
    return max(limits.VRRP_HEARTBEAT_INTERVALS * min(intervals), limits.VRRP_HEARTBEAT_MIN_S)


def source_of(router: VirtualRouter, own: IPAddress) -> IPAddress | None:
    """The node's own address where it is one to speak from; else the interface decides.

    That is, where it lies in the router's network or is in its list of peers. Over IPv6 multicast
    it is the interface's link-local address, never this one.
    """
    if own in router.peers:
        return own
    networks = [address.network for address in router.addresses]
    if isinstance(own, IPv4Address) and any(own in network for network in networks):
        return own
    return None
