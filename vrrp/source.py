"""Whether a virtual router can work on its interface, and from which address it speaks.

The address tells peers apart, decides ties, and is what unicast peers check. It must be the host's
own: an address that moves between directors would make each take the other for itself. Over IPv6
multicast it is the link-local one (RFC 9568 section 5.1.2.1), which the kernel may still be testing
(duplicate address detection): until that is done it cannot be sent from, so it is waited for.

This module never looks at an interface itself; it is told what is there.
"""

from __future__ import annotations

from collections.abc import Container

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
    present = [
        address.ip
        for address in interface.addresses
        if address.version == settings.family and address not in interface.tentative
    ]
    if settings.source is not None:
        if settings.source in present:
            return Up(settings.source)
        return Down(f"{settings.source} is not an address of {interface.name}")
    own = [address for address in present if address not in virtual]
    if settings.priority == packet.PRIORITY_OWNER:
        own += present  # the owner of an address may have no other
    if settings.peers:
        return _among_peers(settings, interface, own)
    if settings.family == 6:
        own = [address for address in own if address.is_link_local]
    if not own:
        what = "link-local IPv6" if settings.family == 6 else "IPv4"
        return Down(f"{interface.name} has no {what} address of its own to send from")
    return Up(own[0])


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
