"""What is remembered of one virtual router, and what can be told of it.

A member of a group is a machine (`machine`), its addresses (`holding`), what its peers sent
(`ledger`), and the settings it goes by. This module puts them into the words of others: a report,
a last will, what hooks hear, what is said of a rival. It signs and verifies with the clock of the
wall, which the keyed hash asks for; it never sends and never decides an election.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from vrrp import authentication, hooks, packet, priority, reception
from vrrp.authentication import Sequences
from vrrp.config import IPInterface, RouterSettings
from vrrp.events import (
    Down,
    Effect,
    HandOver,
    Heard,
    Rival,
    RivalGone,
    Send,
    State,
    Up,
    format_duration,
)
from vrrp.holding import Holding
from vrrp.ledger import Ledger
from vrrp.machine import Machine
from vrrp.messages import Goodbye, RouterReport, RouterWill
from vrrp.packet import Datagram, IPAddress

_UNHEARD: Final = (
    "we take what it sends, so it does not hear us or does not take what we send (a link that works"
    " one way only, a firewall, or its log tells)"
)


_encoded: Final = lru_cache(maxsize=1024)(packet.encode)
"""An active router says the same thing again and again."""


@dataclass(slots=True)
class Member:
    """What the wiring remembers of one virtual router."""

    holding: Holding
    configured: RouterSettings
    since: float
    sum: priority.Sum
    told: Up | Down | None = None
    ledger: Ledger = field(default_factory=Ledger)
    sequences: Sequences = field(default_factory=Sequences)
    report: RouterReport | None = None
    accepted: tuple[Datagram, RouterSettings, Heard] | None = None
    """The last advertisement that was taken, and by which settings."""

    @property
    def machine(self) -> Machine:
        """The election of this virtual router."""
        return self.holding.machine

    @property
    def settings(self) -> RouterSettings:
        """The settings with the priority that trackers have made of the configured one."""
        return self.holding.machine.settings

    def encoded(self, send: Send, destination: IPAddress) -> bytes:
        """Return what to send to `destination`: the advertisement, signed if that is wanted."""
        source = self.machine.source
        pdu = _encoded(send.advertisement, source, destination, form=send.form)
        return self._sealed(pdu, destination) if self.settings.hmac_keys else pdu

    def accept(self, datagram: Datagram) -> Heard:
        """Return the advertisement in `datagram`. Raises PacketError.

        An active router says the same thing again and again; for the same datagram it is the same
        object, unless the settings have changed. What is signed never comes twice.
        """
        settings = self.settings
        if self.accepted is not None:
            last, accepted_by, heard = self.accepted
            if settings is accepted_by and datagram == last:
                return heard
        heard = reception.accept(datagram, settings)
        if settings.hmac_keys:
            self._authenticate(datagram)
        else:
            self.accepted = datagram, settings, heard
        return heard

    def overhear(self, interface: str, foreign: Heard) -> str | None:
        """Count an advertisement for somebody else's VRID on our link; warn if it is about us."""
        settings, theirs = self.settings, foreign.advertisement
        if settings.interface != interface or settings.family != foreign.source.version:
            return None
        self.ledger.count("unknown-vrid", str(foreign.source))
        shared = next((one for one in settings.plain_addresses if one in theirs.addresses), None)
        if shared is None:
            return None
        return (
            f"{foreign.source} advertises {shared} with VRID {theirs.vrid}, ours is {settings.vrid}"
        )

    def _sealed(self, pdu: bytes, destination: IPAddress) -> bytes:
        settings = self.settings
        sequence = self.sequences.next(time.time_ns(), settings.hmac_window)
        key = settings.hmac_keys[0]
        return authentication.seal(
            pdu, self.machine.source, destination, key=key, sequence=sequence
        )

    def _authenticate(self, datagram: Datagram) -> None:
        """Accept the signature of an advertisement. Raises PacketError."""
        settings = self.settings
        sequence = authentication.verify(datagram, settings.hmac_keys)
        if sequence is not None:
            wall_ns, window_s = time.time_ns(), settings.hmac_window
            self.sequences.check(datagram.source, sequence, wall_ns=wall_ns, window_s=window_s)
        elif settings.hmac_required:
            raise packet.PacketError(packet.Rejection.AUTHENTICATION, "it has no keyed hash")

    def tell_rival(self, effect: Rival | RivalGone) -> tuple[str, str, str] | None:
        """Kind, virtual router and sentence of the event that another active router makes."""
        name, lasted = self.settings.name, format_duration(effect.lasted_s)
        if isinstance(effect, RivalGone):
            if not effect.persisted:
                return None
            text = f"{effect.source} is not active any more, after {lasted}; announced again"
            return "split-brain-over", name, text
        if not effect.persists:
            self.ledger.count("rival-heard", str(effect.source))
            text = f"{effect.source} (priority {effect.priority}) was active as well until now"
            return "rival-heard", name, text
        self.ledger.count("split-brain", str(effect.source))
        causes = self.ledger.causes(str(effect.source))
        text = (
            f"{effect.source} (priority {effect.priority}, ours {self.settings.priority}) has"
            f" been active as well for {lasted}: {causes or _UNHEARD}"
        )
        return "split-brain", name, text

    def change(self, old: State, *, replayed: bool) -> hooks.Change:
        """What the hooks are told of the present state."""
        settings, machine = self.settings, self.machine
        return hooks.Change(
            router=settings.name,
            vrid=settings.vrid,
            interface=settings.interface,
            group=settings.group,
            old=old,
            new=machine.state,
            reason=machine.reason,
            priority=settings.priority,
            addresses=tuple(str(address) for address in settings.all_addresses),
            at=self.since,
            replayed=replayed,
        )

    def rest(self, effects: Collection[Effect]) -> RouterWill | None:
        """What a member that is removed still holds, though it hands nothing over; None: nothing.

        It stepped back just now: its task would have cleared up next, and forgets it here.
        """
        holding, settings = self.holding, self.settings
        held = tuple(sorted(holding.held, key=str))
        if any(isinstance(effect, HandOver) for effect in effects):
            return None
        if not held and not holding.held_paths:
            return None
        return replace(
            will_of(self.machine),
            goodbyes=(),
            addresses=held,
            routes=tuple(one for one in settings.routes if one in holding.held_paths),
            rules=tuple(one for one in settings.rules if one in holding.held_paths),
        )

    def make_report(
        self,
        present: Collection[IPInterface],
        trackers: tuple[str, ...],
        now: float,
        *,
        remark: str = "",
    ) -> RouterReport:
        """How it is, and why. `present`: the interface's addresses; `trackers`: a phrase each.

        `remark`: what is not in force.
        """
        settings, machine = self.settings, self.machine
        rival = machine.rivalry.source
        return RouterReport(
            name=settings.name,
            vrid=settings.vrid,
            interface=settings.interface,
            group=settings.group,
            state=machine.state,
            priority=settings.priority,
            since=self.since,
            reason=machine.reason,
            active_peer=None if machine.active_peer is None else str(machine.active_peer),
            addresses=tuple(str(address) for address in settings.all_addresses),
            held=tuple(str(address) for address in settings.all_addresses if address in present),
            counters=dict(self.ledger.counters),
            peers=self.ledger.by_peer(),
            arithmetic=self.sum.sentence,
            weighed=self.sum.weighed,
            trackers=trackers,
            rival="" if rival is None else str(rival),
            outlook=machine.outlook(now),
            remark=remark,
        )


def will_of(machine: Machine) -> RouterWill:
    """Return how to leave the addresses of `machine`, ready for whoever has to do it."""
    settings = machine.settings
    goodbyes = tuple(
        Goodbye(
            destination=to,
            packet=packet.encode(machine.goodbye(), machine.source, to, form=machine.form).hex(),
        )
        for to in machine.destinations
    )
    return RouterWill(
        name=settings.name,
        vrid=settings.vrid,
        interface=settings.interface,
        source=machine.source,
        goodbyes=goodbyes,
        addresses=settings.all_addresses,
        routes=settings.routes,
        rules=settings.rules,
        hmac_keys=settings.hmac_keys,
        hmac_required=settings.hmac_required,
        hmac_window=settings.hmac_window,
        linger_s=machine.skew_s + settings.advertise,
        device=settings.device if settings.virtual_mac else None,
        hardware_address=settings.virtual_mac_in_words,
    )
