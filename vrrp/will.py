"""The last will: how a director leaves its addresses, make before break.

The problem. A process that held addresses is dead, frozen or told to stop. If its addresses stay,
two hosts answer for them as soon as a peer takes over. If they go at once, clients wait until the
peer has noticed. The kernel, however, still forwards traffic without us.

The approach. Say goodbye for all virtual routers at once (priority 0: a peer takes over within its
skew instead of three intervals). Stop answering ARP on those interfaces, but *keep* the addresses,
so that clients who know the way are served. When the peer's own advertisement is heard, wait a
moment for the last packets on the way, then remove the addresses. When nobody is heard within one
skew and one interval, remove them too: nobody would have taken over later. Last, let ARP be
answered again as before. Linux has no such switch for neighbour discovery: of IPv6 addresses, both
sides answer for that moment, and the peer's announcement overrides (RFC 4861 section 7.2.5).

With a virtual MAC, what moves is not what neighbours know but where the switches have seen it: with
its first frame, the successor has all traffic. So from then on nothing may be sent from that
address here: its interface is switched off in the moment in which the peer is heard, and nothing is
on the way any more for which to wait. At the end it is deleted, that of a backup as well.

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
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from vrrp import authentication, kernel_paths, netlink, packet, sysctl, virtual_mac
from vrrp.config import IPInterface
from vrrp.events import format_duration
from vrrp.messages import DeviceWill, Goodbye, LastWill, RouterWill
from vrrp.packet import Advertisement, IPAddress
from vrrp.paths import Path
from vrrp.transport import Channel

GRACE_S: Final = 0.2
"""How long addresses stay after a peer was heard (at most one interval): packets on the way."""


@dataclass(slots=True)
class _Handover:
    """One router's leave in progress."""

    will: RouterWill
    said: Advertisement
    """Our own goodbye, to tell whose advertisements count."""
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)
    peer: str | None = None
    interval_s: float = 0.0
    sequences: authentication.Sequences = field(default_factory=authentication.Sequences)

    @property
    def channel(self) -> tuple[str, int]:
        """The interface and the version of IP."""
        return self.will.interface, self.will.source.version

    @property
    def holder(self) -> str:
        """The interface that has the addresses."""
        return self.will.device or self.will.interface

    @property
    def peers(self) -> frozenset[IPAddress]:
        """The unicast peers; empty: multicast is spoken."""
        to = frozenset(goodbye.destination for goodbye in self.will.goodbyes)
        return frozenset(address for address in to if not address.is_multicast)

    def hear(self, datagram: packet.Datagram) -> None:
        """Note it if a peer of ours has taken over. Raises PacketError."""
        source = datagram.source
        trusted = source in self.peers if self.peers else datagram.ttl == packet.TTL
        if not trusted or source == self.will.source:
            return
        version = self.said.version
        heard, _ = packet.decode(datagram.payload, source, datagram.destination, version=version)
        if self.will.hmac_keys:
            self._authenticate(datagram)
        if heard.priority > packet.PRIORITY_LEAVING and heard.password == self.said.password:
            self.peer = str(source)
            self.interval_s = heard.interval_cs / 100
            self.taken_over.set()

    def _authenticate(self, datagram: packet.Datagram) -> None:
        """What is forged or old does not take the addresses away. Raises PacketError."""
        sequence = authentication.verify(datagram, self.will.hmac_keys)
        if sequence is not None:
            window_s = self.will.hmac_window
            wall_ns = time.time_ns()
            self.sequences.check(datagram.source, sequence, wall_ns=wall_ns, window_s=window_s)
        elif self.will.hmac_required:
            raise packet.PacketError(packet.Rejection.AUTHENTICATION, "it has no keyed hash")


def _handover(will: RouterWill) -> _Handover:
    goodbye = will.goodbyes[0]
    said, _ = packet.decode(bytes.fromhex(goodbye.packet), will.source, goodbye.destination)
    return _Handover(will, said)


async def execute(will: LastWill) -> list[str]:
    """Leave all virtual routers of `will` in good order; return a sentence for each.

    Takes at most the longest `linger_s` plus GRACE_S, and raises nothing: what could not be done
    is said in the sentences. When cancelled, it still removes the addresses and restores ARP.
    """
    sentences: list[str] = []
    try:
        await _leave_all(will, sentences)
    finally:
        _delete_devices(will.devices, sentences)
    return sentences


async def _leave_all(will: LastWill, sentences: list[str]) -> None:
    handovers = [_handover(router) for router in will.routers if router.goodbyes]
    channels = sorted({handover.channel for handover in handovers})
    sentences += [
        f"{router.name}: {_remove_addresses(router)}"
        for router in will.routers
        if not router.goodbyes  # nobody shall take over
    ]
    with contextlib.ExitStack() as stack:
        for interface, family in channels:
            mine = [handover for handover in handovers if handover.channel == (interface, family)]
            stack.enter_context(_listening(interface, family, mine, sentences))
        # Only now, when goodbye has been said everywhere, is there time for anything else.
        for interface in sorted({one.holder for one in handovers if one.channel[1] == 4}):
            stack.enter_context(_silent_arp(interface, sentences))
        async with asyncio.TaskGroup() as tasks:
            for handover in handovers:
                tasks.create_task(_leave(handover, sentences))


@contextlib.contextmanager
def _listening(
    interface: str, family: int, handovers: Iterable[_Handover], sentences: list[str]
) -> Iterator[None]:
    """Say goodbye on one interface, and note there who takes over."""
    by_vrid = {handover.will.vrid: handover for handover in handovers}

    def receive(datagram: packet.Datagram) -> None:
        handover = by_vrid.get(datagram.vrid or 0)
        if handover is not None:
            with contextlib.suppress(packet.PacketError):
                handover.hear(datagram)

    multicast = not all(handover.peers for handover in by_vrid.values())
    try:
        index = netlink.index_of(interface)
        channel = Channel(interface, index, family, multicast=multicast, receiver=receive)
    except OSError as error:
        sentences.append(f"could not say goodbye on {interface}: {error.strerror or error}")
        yield
        return
    with contextlib.closing(channel):
        for handover in by_vrid.values():
            _say_goodbye(handover.will, channel, sentences)
        yield


def _say_goodbye(will: RouterWill, channel: Channel, sentences: list[str]) -> None:
    written = will.hardware_address
    hardware_address = None if written is None else bytes.fromhex(written.replace(":", ""))
    for goodbye in will.goodbyes:
        pdu = _sealed(goodbye, will)
        try:
            channel.send(pdu, will.source, goodbye.destination, hardware_address)
        except OSError as error:
            sentences.append(f"{will.name}: could not say goodbye: {error.strerror or error}")


def _sealed(goodbye: Goodbye, will: RouterWill) -> bytes:
    """Return the bytes to send; a signature has to be newer than those sent since the will."""
    pdu = bytes.fromhex(goodbye.packet)
    if not will.hmac_keys:
        return pdu
    sequence = authentication.sequence_at(time.time_ns())
    key = will.hmac_keys[0]
    return authentication.seal(pdu, will.source, goodbye.destination, key=key, sequence=sequence)


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
            if will.device is None:
                await asyncio.sleep(min(GRACE_S, handover.interval_s))
            outcome = f"{handover.peer} took over"
        else:
            outcome = f"no peer was heard within {format_duration(will.linger_s)}"
        if will.device is not None:
            await asyncio.to_thread(_switch_off, will.device)  # takes some 15 ms each
    except asyncio.CancelledError:
        outcome = "the wait was cut short"
        raise
    finally:
        sentences.append(f"{will.name}: {outcome}; {_remove_addresses(will)}")


def _switch_off(device: str) -> None:
    with contextlib.suppress(OSError):  # it is deleted in a moment anyway, and that is reported
        netlink.switch_off(device)


def _remove_addresses(will: RouterWill) -> str:
    """Remove the addresses of a will and say what became of them."""
    removed, failed = 0, []
    paths: tuple[Path, ...] = (*will.rules, *will.routes)
    for path in paths:
        try:
            kernel_paths.remove(will.interface, path)
        except OSError as error:
            failed.append(f"{path} stays: {error.strerror or error}")
    holder = will.device or will.interface
    for address in will.addresses:
        if address.ip == will.source:
            continue  # the owner of the address: it is the host's own
        try:
            # From an interface that is switched off, those of IPv6 are gone already.
            removed += netlink.remove_address(holder, address) or _is_off(will, address)
        except OSError as error:
            failed.append(f"{address} stays: {error.strerror or error}")
    return "; ".join([f"removed {removed} of {len(will.addresses)} addresses", *failed])


def _is_off(will: RouterWill, address: IPInterface) -> bool:
    return will.device is not None and address.version == 6


def _delete_devices(devices: Iterable[DeviceWill], sentences: list[str]) -> None:
    """Delete the interfaces of virtual MACs, then put back what they changed below."""
    for device in devices:
        try:
            netlink.delete_link(device.name)
            sysctl.restore(device.below, device.switches, virtual_mac.BELOW)
        except FileNotFoundError:
            pass  # the interface below is gone, and its switches with it
        except OSError as error:
            sentences.append(f"{device.name} stays: {error.strerror or error}")
