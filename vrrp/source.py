"""Whether a virtual router can work on its interface, and from which address it speaks.

The address tells peers apart, decides ties, and is what unicast peers check. It must be the host's
own: an address that moves between directors would make each take the other for itself. Over IPv6
multicast it is the link-local one (RFC 9568 section 5.1.2.1), which the kernel may still be testing
(duplicate address detection): until that is done it cannot be sent from, so it is waited for.

This module never looks at an interface itself; it is told what is there.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import chain

from vrrp import packet
from vrrp.config import RouterSettings
from vrrp.events import Down, Up
from vrrp.hands import Interface
from vrrp.packet import IPAddress


def usability(
    settings: RouterSettings, interface: Interface, virtual: Container[IPAddress]
) -> Up | Down:
    """Tell whether `settings` can be run on `interface`; `virtual` are the addresses that move."""
    if interface.problem is not None:
        return Down(interface.problem)
    if settings.source is not None:
        if settings.source in _usable(interface, settings.family):
            return Up(settings.source)
        return Down(f"{settings.source} is not an address of {interface.name}")
    # Looked for, not listed: the first one is the host's own as a rule, and of hundreds of virtual
    # routers on a link each one asks.
    own: Iterator[IPAddress] = (
        address for address in _usable(interface, settings.family) if address not in virtual
    )
    if settings.priority == packet.PRIORITY_OWNER:
        own = chain(own, _usable(interface, settings.family))  # it may have no other
    if settings.peers:
        return _among_peers(settings, interface, list(own))
    if settings.family == 6:
        own = (address for address in own if address.is_link_local)
    first = next(own, None)
    if first is None:
        what = "link-local IPv6" if settings.family == 6 else "IPv4"
        return Down(f"{interface.name} has no {what} address of its own to send from")
    return Up(first)


def _usable(interface: Interface, family: int) -> Iterator[IPAddress]:
    """The addresses of one family that can be sent from, in the kernel's order."""
    for address in interface.addresses:
        if address.version == family and address not in interface.tentative:
            yield address.ip


def _among_peers(settings: RouterSettings, interface: Interface, own: list[IPAddress]) -> Up | Down:
    """Choose the address that the peers know us by: one of the list, if it is the same for all."""
    listed = [address for address in own if address in settings.peers]
    same_network = [
        address for address in own if address.is_link_local == settings.peers[0].is_link_local
    ]
    chosen = (listed or same_network)[:1]
    if not chosen:
        return Down(f"{interface.name} has no address of its own to send to the peers from")
    if not set(settings.peers) - {chosen[0]}:
        return Down(f"{chosen[0]} is the only one of the peers, and is this director itself")
    return Up(chosen[0])
