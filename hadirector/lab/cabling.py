"""Which network each virtual router is on, and what each director calls its interface there.

The problem: the file names interfaces, not networks, and the directors may have different names for
their interfaces on one network. The approach: what the virtual routers share makes the networks
(`hadirector.networks`); each is called as the first of its virtual routers calls it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hadirector.config.model import Config
from hadirector.elections import settings_on
from hadirector.lab.errors import LabError
from hadirector.lab.spares import Address
from hadirector.networks import networks
from vrrp.config import VirtualRouter


def routers_on_networks(config: Config) -> list[tuple[VirtualRouter, str]]:
    """Each virtual router with the name of its network."""
    routers = config.virtual_routers
    uses = [
        {name: settings_on(node, router).interface for name, node in config.nodes.items()}
        for router in routers
    ]
    names: dict[int, str] = {}
    found = []
    for router, number in zip(routers, networks(uses), strict=True):
        name = router.interface
        if number not in names and name in names.values():
            name = f"{name}-{number}"  # to some director that is its interface on another network
        found.append((router, names.setdefault(number, name)))
    return found


def interface_names(config: Config) -> Mapping[str, Mapping[str, str]]:
    """By network and director, what that director calls its interface there. Raises LabError."""
    names: dict[str, dict[str, str]] = {}
    for router, network in routers_on_networks(config):
        for node, own in config.nodes.items():
            interface = settings_on(own, router).interface
            known = names.setdefault(network, {}).setdefault(node, interface)
            if known != interface:
                raise LabError(
                    f"{node} has two interfaces on one network, {known} and {interface}; the lab "
                    "gives it one: write the same for all virtual routers of that network"
                )
    return names


def sources(config: Config, name: str) -> Iterator[Address]:
    """The addresses, besides its own, that the file has a director speak from or listen on."""
    node = config.nodes[name]
    for router in config.virtual_routers:
        source = settings_on(node, router).source
        if source is not None and source != node.address:
            yield source
    if config.peer is not None and config.peer.addresses[name] != node.address:
        yield config.peer.addresses[name]
