"""The last will: how a director leaves its addresses, make before break.

The problem. A process that held addresses is dead, frozen or told to stop. If its addresses stay,
two hosts answer for them as soon as a peer takes over. If they go at once, clients wait until the
peer has noticed. The kernel, however, still forwards traffic without us.

The approach. Say goodbye for all virtual routers at once (priority 0: a peer takes over within its
skew instead of three intervals). Stop answering ARP on those interfaces, but *keep* the addresses,
so that clients who know the way are served. When the peer's own advertisement is heard, wait a
moment for the last packets on the way, then remove the addresses. When nobody is heard within one
skew and one interval, remove them too: nobody would have taken over later. Last, let ARP be
answered again as before.

Whoever is alive executes it, with this same code: the supervisor when its worker is dead or frozen,
the worker when its supervisor is gone, the worker for a virtual router that was taken out of the
configuration. So this module needs nothing but the will, the standard library and CAP_NET_ADMIN,
CAP_NET_RAW.

It never removes an address that the will does not name, never the address a will's packets come
from, and never stops half-way because one step failed: a dead link must not keep an address alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from vrrp import netlink, packet, sysctl
from vrrp.events import format_duration
from vrrp.messages import LastWill, RouterWill
from vrrp.transport import Channel

GRACE_S: Final = 0.2
"""How long addresses stay after a peer was heard (at most one interval): packets on the way."""


@dataclass(slots=True)
class _Handover:
    """One router's leave in progress."""

    will: RouterWill
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)
    peer: str | None = None
    interval_s: float = 0.0


async def execute(will: LastWill) -> list[str]:
    """Leave all virtual routers of `will` in good order; return a sentence for each.

    Takes at most the longest `linger_s` plus GRACE_S, and raises nothing: what could not be done
    is said in the sentences. When cancelled, it still removes the addresses and restores ARP.
    """
    if not will.routers:
        return []
    handovers = [_Handover(router) for router in will.routers]
    interfaces = sorted({router.interface for router in will.routers})
    sentences: list[str] = []
    with contextlib.ExitStack() as stack:
        for interface in interfaces:
            mine = [handover for handover in handovers if handover.will.interface == interface]
            stack.enter_context(_listening(interface, mine, sentences))
        # Only now, when goodbye has been said everywhere, is there time for anything else.
        for interface in interfaces:
            stack.enter_context(_silent_arp(interface, sentences))
        async with asyncio.TaskGroup() as tasks:
            for handover in handovers:
                tasks.create_task(_leave(handover, sentences))
    return sentences


@contextlib.contextmanager
def _listening(
    interface: str, handovers: Iterable[_Handover], sentences: list[str]
) -> Iterator[None]:
    """Say goodbye on one interface, and note there who takes over."""
    by_vrid = {handover.will.vrid: handover for handover in handovers}

    def receive(datagram: bytes) -> None:
        with contextlib.suppress(packet.PacketError):
            advertisement, _, source = packet.receive(datagram)
            handover = by_vrid.get(advertisement.vrid)
            if handover is None or source == handover.will.source:
                return
            if advertisement.priority > packet.PRIORITY_LEAVING:
                handover.peer = str(source)
                handover.interval_s = advertisement.interval_cs / 100
                handover.taken_over.set()

    try:
        channel = Channel(interface, netlink.index_of(interface), receive)
    except OSError as error:
        sentences.append(f"could not say goodbye on {interface}: {error.strerror or error}")
        yield
        return
    with contextlib.closing(channel):
        for handover in by_vrid.values():
            will = handover.will
            try:
                channel.send(bytes.fromhex(will.packet), will.source, will.destination)
            except OSError as error:
                sentences.append(f"{will.name}: could not say goodbye: {error.strerror or error}")
        yield


@contextlib.contextmanager
def _silent_arp(interface: str, sentences: list[str]) -> Iterator[None]:
    """Let the interface answer no ARP while the context lasts."""
    try:
        before = sysctl.read(interface, "arp_ignore")
        if before != sysctl.ARP_SILENT:
            sysctl.write(interface, "arp_ignore", sysctl.ARP_SILENT)
    except OSError as error:
        sentences.append(f"{interface} goes on answering ARP: {error.strerror or error}")
        yield
        return
    try:
        yield
    finally:
        if before != sysctl.ARP_SILENT:  # else another will on this interface restores it
            with contextlib.suppress(OSError):  # the interface may be gone
                sysctl.write(interface, "arp_ignore", before)


async def _leave(handover: _Handover, sentences: list[str]) -> None:
    """Wait for the successor, then remove the addresses of one virtual router."""
    will = handover.will
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(will.linger_s):
                await handover.taken_over.wait()
        if handover.peer is not None:
            await asyncio.sleep(min(GRACE_S, handover.interval_s))
            outcome = f"{handover.peer} took over"
        else:
            outcome = f"no peer was heard within {format_duration(will.linger_s)}"
    except asyncio.CancelledError:
        outcome = "the wait was cut short"
        raise
    finally:
        sentences.append(f"{will.name}: {outcome}; {_remove_addresses(will)}")


def _remove_addresses(will: RouterWill) -> str:
    """Remove the addresses of a will and say what became of them."""
    removed, failed = 0, []
    for address in will.addresses:
        if address.ip == will.source:
            continue  # the owner of the address: it is the host's own
        try:
            removed += netlink.remove_address(will.interface, address)
        except OSError as error:
            failed.append(f"{address} stays: {error.strerror or error}")
    return "; ".join([f"removed {removed} of {len(will.addresses)} addresses", *failed])
