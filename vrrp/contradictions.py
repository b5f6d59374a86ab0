"""What does not go together among the options of one virtual router.

The problem: each value is allowed by itself, and yet a version 2 cannot have IPv6, or nothing is
delayed where nothing preempts. The approach: one function for each subject; the first contradiction
is raised as a ValueError whose sentence begins with the option it is about, so that a loader can
point at its place.

This module never changes a value, and is used by `config` alone.
"""

from __future__ import annotations

from ipaddress import IPv6Interface
from typing import TYPE_CHECKING, Final

from vrrp.choices import ChecksumChoice
from vrrp.packet import INTERVAL_CS_MAX, TTL
from vrrp.virtual_mac import check_name

if TYPE_CHECKING:
    from vrrp.config import VirtualRouter

FRAME_ADDRESSES_MAX: Final = 89
"""IPv6 addresses in a frame of 1500 bytes, beside the headers and a keyed hash."""


def check(router: VirtualRouter) -> None:
    """Raise ValueError for the first contradiction; the sentence begins with the option."""
    _check_interval(router)
    _check_addresses(router)
    if router.password is not None:
        if router.version != 2:
            raise ValueError("password: version 3 has none; write version: 2 or leave it out")
        if not (router.password.isascii() and router.password.isprintable()):
            raise ValueError("password: only printable ASCII characters can be sent")
    if len({key.id for key in router.hmac_keys}) != len(router.hmac_keys):
        raise ValueError("hmac_keys: two keys have the same number")
    if not router.hmac_keys and not router.hmac_required:
        raise ValueError("hmac_required: without hmac_keys nothing is required")
    _check_peers(router)
    _check_holding(router)
    if router.checksum is not ChecksumChoice.FOLLOW and (router.version == 2 or router.family == 6):
        raise ValueError("checksum: only version 3 over IPv4 has a choice")
    if router.preempt_delay and not router.preempt:
        raise ValueError("preempt_delay: nothing is delayed, since preempt is false")


def _check_holding(router: VirtualRouter) -> None:
    own = set(router.plain_addresses)
    for address in router.excluded:
        if address.ip in own:
            raise ValueError(f"excluded: {address.ip} stands in a list already")
        own.add(address.ip)
    if router.label is not None:
        if not any(address.version == 4 for address in router.all_addresses):
            raise ValueError("label: only IPv4 addresses have one")
        if router.label != router.device and not router.label.startswith(f"{router.device}:"):
            raise ValueError(f'label: it begins with the interface: "{router.device}:..."')
    if router.virtual_mac and router.family == 6 and len(router.addresses) > FRAME_ADDRESSES_MAX:
        raise ValueError(
            f"addresses: with virtual_mac at most {FRAME_ADDRESSES_MAX} of IPv6 fit into a"
            " frame; list the others in excluded"
        )
    if 0 < router.announce_refresh < 1:
        raise ValueError("announce_refresh: 1s is the least")
    if router.virtual_mac_name is not None:
        if not router.virtual_mac:
            raise ValueError("virtual_mac_name: nothing has it; write virtual_mac: true")
        check_name(router.virtual_mac_name)
        if router.virtual_mac_name == router.interface:
            raise ValueError(f"virtual_mac_name: {router.interface} is the interface below it")


def _check_interval(router: VirtualRouter) -> None:
    written = f"{router.advertise * 1000:g}ms"
    if router.version == 2:
        if router.advertise != round(router.advertise) or router.advertise < 1:
            raise ValueError(f"advertise: {written}; version 2 counts in whole seconds")
        return
    centiseconds = router.advertise * 100
    if round(centiseconds) > INTERVAL_CS_MAX:
        raise ValueError(f"advertise: {router.advertise:g}s; version 3 can say at most 40.95s")
    if abs(centiseconds - round(centiseconds)) > 1e-6:
        raise ValueError(f"advertise: {written} cannot be sent; VRRP counts in 10ms steps")


def _check_addresses(router: VirtualRouter) -> None:
    if len({address.ip for address in router.addresses}) != len(router.addresses):
        raise ValueError("addresses: the same address stands in the list twice")
    if len({address.version for address in router.addresses}) > 1:
        raise ValueError(
            "addresses: IPv4 and IPv6 cannot share a virtual router; write one for each"
        )
    if router.family == 4:
        return
    if router.version == 2:
        raise ValueError("addresses: version 2 is for IPv4 only")
    if not router.addresses[0].is_link_local:
        # RFC 9568 section 5.2.9: it is what hosts use as their router's address.
        raise ValueError(
            "addresses: the first IPv6 address has to be link-local, such as fe80::100/64"
        )
    if any(isinstance(a, IPv6Interface) and a.scope_id for a in router.addresses):
        raise ValueError("addresses: write no %zone; the interface is that of the router")


def _check_peers(router: VirtualRouter) -> None:
    if not router.peers:
        for name, value in (("min_ttl", router.min_ttl), ("max_ttl", router.max_ttl)):
            if value != TTL:
                raise ValueError(f"{name}: only unicast has it; peers are missing")
        return
    if len(set(router.peers)) != len(router.peers):
        raise ValueError("peers: the same address stands in the list twice")
    if any(peer.version != router.family for peer in router.peers):
        raise ValueError(f"peers: the virtual addresses are IPv{router.family}, so are the peers")
    if any(peer.is_multicast or peer.is_unspecified for peer in router.peers):
        raise ValueError("peers: a multicast address is nobody's own")
    if set(router.peers) & set(router.plain_addresses):
        raise ValueError("peers: a virtual address is not a director's own")
    if router.min_ttl > router.max_ttl:
        raise ValueError(f"max_ttl: {router.max_ttl} is below the min_ttl of {router.min_ttl}")
