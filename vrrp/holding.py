"""The addresses of virtual routers: those that should be on an interface, and those that are.

The problem. Becoming active, stepping back, an address that another program deleted, one left over
from a former life of this process, a list of addresses changed by a reload: told one by one, these
are five procedures that get into each other's way.

The approach. They are one difference, and `settle` makes it disappear: first what is missing is
added, for all members of a group, then it is announced, then what is too much is removed.
Every step looks at the state again, because the election does not wait for it. What the kernel
refuses, one route of many, say, keeps nothing else from being done.

What may be removed is what a virtual router manages, never an address the host has for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from vrrp.choices import OnLoss
from vrrp.config import IPInterface, RouterSettings
from vrrp.events import State
from vrrp.hands import AddressError, Hands
from vrrp.machine import Machine
from vrrp.messages import Event
from vrrp.paths import Path

RESTORE_SPACING_S: Final = 0.2
"""A program that deletes an address again and again is not answered more often than this."""
AUDIT_S: Final = 5.0
"""Nobody tells of routes, rules and switches that another program changed; by then it is undone."""
RETRY_S: Final = 1.0
"""After the kernel refused a change of addresses."""


@dataclass(slots=True)
class Holding:
    """One virtual router and its addresses."""

    machine: Machine
    managed: set[IPInterface] = field(default_factory=set)
    """Configured now or before: what may be removed."""
    held: set[IPInterface] = field(default_factory=set)
    """Put or found there while active: what can get lost, and is surely not the host's own."""
    announce: bool = False
    """The neighbours shall be told as soon as the addresses are there."""
    refused: set[IPInterface] = field(default_factory=set)
    """What the kernel has refused to add: when it is there, the neighbours have to be told."""
    restored_at: float = float("-inf")
    managed_paths: set[Path] = field(default_factory=set)
    """Routes and rules configured now or before: what may be removed."""
    held_paths: set[Path] = field(default_factory=set)
    lost: str | None = None
    """An address is gone and the virtual router shall yield; the sentence says why."""
    obstacle: str | None = None
    """Why there is no interface with the virtual MAC; None: there is, or none is needed."""
    had_device: bool = False

    @property
    def settings(self) -> RouterSettings:
        """The settings of the virtual router."""
        return self.machine.settings

    @property
    def active(self) -> bool:
        """Whether the addresses should be on the interface."""
        return self.machine.state is State.ACTIVE

    def wants(self, address: IPInterface) -> bool:
        """Tell whether this address should be on the interface now."""
        return self.active and address in self.settings.all_addresses


def look_again_s(holdings: Collection[Holding]) -> float | None:
    """After how long to look at them although nobody tells of a change, in seconds; None: never."""
    if any(one.obstacle is not None for one in holdings):
        return RETRY_S
    return AUDIT_S if any(one.held_paths or one.had_device for one in holdings) else None


class _Refusals(list[str]):
    """What the kernel refused in one turn, as sentences."""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Go on after a refusal."""
        try:
            yield
        except AddressError as error:
            self.append(str(error))


async def settle(holdings: Iterable[Holding], hands: Hands, again: Callable[[], None]) -> None:
    """Make the addresses those that should be there; `again` asks for another turn.

    Raises AddressError when everything else is done, if the kernel refused something.
    """
    members, refused = list(holdings), _Refusals()
    usable = [member for member in members if await _see_to_device(member, hands, again)]
    for member in usable:
        await _add_missing(member, hands, again, refused)
    for member in members:
        _add_paths(member, hands, refused)
    for member in members:
        if member.announce and member.active:
            _announce(member, hands)
        member.announce = False
    for member in members:
        _remove_paths(member, hands, refused)
        await _remove_surplus(member, hands, again, refused)
    if refused:
        raise AddressError("; ".join(refused))


async def _see_to_device(member: Holding, hands: Hands, again: Callable[[], None]) -> bool:
    """Have the interface of the virtual MAC as the state asks for; tell whether it can be used."""
    settings = member.settings
    if not settings.virtual_mac:
        return True
    deleted = member.had_device and _is_deleted(settings, hands)
    if deleted and member.active and settings.on_loss is OnLoss.YIELD:
        member.held.clear()
        member.had_device = False
        member.lost = f"{settings.device} was deleted by another program"
        _tell(hands, member, "address-lost", member.lost)
        return False
    if deleted and not _may_restore(member, hands.now(), again):
        return False
    try:
        up = member.active
        made = await hands.see_to_device(settings, up=up)
    except AddressError as error:
        member.obstacle = str(error)
        return False
    member.obstacle = None
    if up != member.active:
        again()
    if made and member.had_device:
        text = f"{settings.device} was deleted or changed by another program and is made again"
        _tell(hands, member, "device-restored", text)
        member.held.clear()  # gone with it
        member.announce = member.active
    member.had_device = hands.interface(settings.device).index != 0
    return member.had_device


def _is_deleted(settings: RouterSettings, hands: Hands) -> bool:
    """Tell whether the interface of a virtual MAC is gone, and not with the one below it."""
    device, below = hands.interface(settings.device), hands.interface(settings.interface)
    return not device.index and below.index != 0


async def _add_missing(
    member: Holding, hands: Hands, again: Callable[[], None], refused: _Refusals
) -> None:
    interface = member.settings.device
    may_restore: bool | None = None
    for address in member.settings.all_addresses:
        if not member.wants(address):
            return  # not active, or not any more
        if address in hands.interface(interface).present:
            member.held.add(address)
            continue
        lost = address in member.held
        if lost and member.settings.on_loss is OnLoss.YIELD:
            member.held.discard(address)
            member.lost = f"{address} on {interface} was deleted by another program"
            _tell(hands, member, "address-lost", member.lost)
            return
        if lost and may_restore is None:
            may_restore = _may_restore(member, hands.now(), again)
        if lost and not may_restore:
            continue
        if lost:
            text = f"{address} on {interface} was deleted by another program"
            _tell(hands, member, "address-lost", text)
        try:
            await hands.add(member.settings, address)
        except AddressError as error:
            refused.append(str(error))
            member.refused.add(address)
            continue
        member.held.add(address)
        member.announce |= lost or address in member.refused
        member.refused.discard(address)
        if lost:
            _tell(hands, member, "address-restored", f"{address} is on {interface} again")


def _add_paths(member: Holding, hands: Hands, refused: _Refusals) -> None:
    interface = member.settings.interface
    for path in member.settings.paths:
        if not member.active:
            return
        with refused.noted():
            if hands.add_path(interface, path) and path in member.held_paths:
                text = f"{path} was removed by another program and is there again"
                _tell(hands, member, "path-restored", text)
            member.managed_paths.add(path)
            member.held_paths.add(path)


def _remove_paths(member: Holding, hands: Hands, refused: _Refusals) -> None:
    """Rules first: they lead to tables that are still filled then."""
    for path in sorted(member.managed_paths, key=str, reverse=True):
        if member.active and path in member.settings.paths:
            continue
        with refused.noted():
            hands.remove_path(member.settings.interface, path)
            member.managed_paths.discard(path)
            member.held_paths.discard(path)


def _may_restore(member: Holding, now: float, again: Callable[[], None]) -> bool:
    """Tell whether a lost address may come back yet; if not, come back later."""
    wait_s = member.restored_at + RESTORE_SPACING_S - now
    if wait_s > 0:
        asyncio.get_running_loop().call_later(wait_s, again)
        return False
    member.restored_at = now
    return True


def _announce(member: Holding, hands: Hands) -> None:
    try:
        hands.announce(member.settings)
    except OSError as error:
        text = f"cannot announce on {member.settings.interface}: {error.strerror or error}"
        _tell(hands, member, "announce-failed", text)


async def _remove_surplus(
    member: Holding, hands: Hands, again: Callable[[], None], refused: _Refusals
) -> None:
    """Remove what may not be there: after stepping back, after a reload, left from a crash."""
    interface = member.settings.device
    for address in sorted(member.managed, key=str):
        if member.wants(address):
            continue
        present = address in hands.interface(interface).present
        if present and _is_hosts_own(member, address, hands):
            continue
        with refused.noted():
            if present:
                await hands.remove(interface, address)
                if address not in member.held:
                    text = f"{address} was left over on {interface} and is removed"
                    _tell(hands, member, "address-leftover", text)
            if member.wants(address):
                again()  # it became active meanwhile
            member.held.discard(address)
            if address not in member.settings.all_addresses:
                member.managed.discard(address)


def _is_hosts_own(member: Holding, address: IPInterface, hands: Hands) -> bool:
    """Tell whether an address may be the host's own, although it is a virtual one as well.

    RFC 9568 calls such a host the owner of the address. One that was not put here by us is taken
    for the host's own unless the host has another.
    """
    if member.settings.virtual_mac:
        return False  # that interface is ours alone
    if address.ip in (member.machine.source, member.settings.source):
        return True
    interface = member.settings.interface
    virtual = hands.virtual_addresses(interface)
    others = any(
        other.ip not in virtual and other.version == address.version
        for other in hands.interface(interface).addresses
    )
    return address not in member.held and not others


def _tell(hands: Hands, member: Holding, kind: str, sentence: str) -> None:
    hands.tell(Event(kind=kind, router=member.settings.name, sentence=sentence))
