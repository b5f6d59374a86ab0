"""Whether what arrives is for this virtual router and from where it should be.

`packet` knows what an advertisement is; here is what *this* virtual router demands of one: its own
version of VRRP, the way it should have come (by multicast from this link, or from one of the
configured peers), the password, and, in version 2, the interval.

References: RFC 9568 section 7.1; RFC 3768 section 7.1. Version 2 has no means to tell a peer to
live by another interval, so an advertisement with another one MUST be discarded there.

This module never looks at priorities: who is active is the machine's to decide.
"""

from __future__ import annotations

from vrrp import packet
from vrrp.config import RouterSettings
from vrrp.events import Heard
from vrrp.packet import Datagram, PacketError, Rejection


def accept(datagram: Datagram, settings: RouterSettings) -> Heard:
    """Return the advertisement in `datagram`. Raises PacketError, with cause and sentence."""
    if settings.peers:
        _check_unicast(datagram, settings)
    else:
        _check_multicast(datagram)
    advertisement, form = packet.decode(
        datagram.payload, datagram.source, datagram.destination, version=settings.version
    )
    _check_password(advertisement.password, settings)
    if settings.version == 2 and advertisement.interval_cs != settings.interval_cs:
        theirs, ours = advertisement.interval_cs // 100, settings.interval_cs // 100
        raise PacketError(
            Rejection.INTERVAL, f"it is sent every {theirs} s, ours every {ours} s (version 2)"
        )
    return Heard(advertisement, datagram.source, form)


def _check_multicast(datagram: Datagram) -> None:
    if datagram.ttl != packet.TTL:
        raise PacketError(Rejection.TTL, f"TTL {datagram.ttl}, so it was not sent on this link")
    if datagram.destination != packet.group_for(datagram.source):
        text = f"it was sent to {datagram.destination} alone, and multicast is spoken here"
        raise PacketError(Rejection.DESTINATION, text)


def _check_unicast(datagram: Datagram, settings: RouterSettings) -> None:
    if datagram.source not in settings.peers:
        raise PacketError(Rejection.SOURCE, "its sender is none of the configured peers")
    if datagram.destination.is_multicast:
        text = "it was sent by multicast, and unicast is spoken here"
        raise PacketError(Rejection.DESTINATION, text)
    if not settings.min_ttl <= datagram.ttl <= settings.max_ttl:
        low, high = settings.min_ttl, settings.max_ttl
        bounds = f"{low} to {high}" if low < high else f"{low}"
        raise PacketError(Rejection.TTL, f"TTL {datagram.ttl}, where {bounds} is accepted")


def _check_password(theirs: bytes | None, settings: RouterSettings) -> None:
    """Compare without ever showing one."""
    ours = settings.secret
    if theirs == ours:
        return
    if theirs is None:
        text = "it has no password"
    elif ours is None:
        text = "it has a password, and none is configured here"
    else:
        text = "it has another password"
    raise PacketError(Rejection.AUTHENTICATION, text)
