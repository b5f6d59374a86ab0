"""A group of virtual routers wired to the hands that act for it.

Two loops meet here. The *election* is immediate: a packet, a timer or a change of an interface goes
into the group, and what comes out is carried out before anything else is looked at. The *addresses*
follow: a task, woken by the same effects, has `holding` make them what the states ask for. There is
one timer, armed anew only when the group's deadline changed.

This module never decides who is active (`group`, `machine`), and never opens a socket (`Hands`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Final, assert_never

from vrrp import messages, packet, priority
from vrrp.alarm import Alarm
from vrrp.config import RouterSettings
from vrrp.events import (
    Announce,
    Changed,
    Differs,
    Down,
    Effect,
    HandOver,
    Heard,
    Late,
    Release,
    Rival,
    RivalGone,
    Send,
    State,
    Take,
    Up,
    format_duration,
)
from vrrp.group import Group
from vrrp.guided import Guided
from vrrp.hands import AddressError, Hands
from vrrp.holding import RETRY_S, Holding, look_again_s, settle
from vrrp.member import Member, will_of
from vrrp.messages import Event, Guidance, Promote, Reannounce, RouterReport, RouterWill
from vrrp.packet import Datagram, IPAddress
from vrrp.source import usability

_text: Final = lru_cache(maxsize=1024)(str)
"""An address in words; the same few senders come with every packet."""


class Router:
    """One group (or one virtual router without a group) at work."""

    def __init__(self, name: str, hands: Hands) -> None:
        self.name = name
        self._hands = hands
        self._group = Group(name)
        self._members: dict[str, Member] = {}
        self._alarm = Alarm(hands.now, self._on_time, hands.woken)
        self._work = asyncio.Event()
        self._stopped = False
        self._guided = Guided(self._bar)

    # -------------------------------------------------------------- from outside

    def configure(self, wanted: Iterable[RouterSettings]) -> None:
        """Run exactly these members; those that stay the same are not disturbed."""
        now = self._hands.now()
        by_identity = {settings.identity: settings for settings in wanted}
        stay = any(m.settings.identity in by_identity for m in self._members.values())
        for name, member in list(self._members.items()):
            if member.settings.identity not in by_identity:
                gone = "not in the configuration any more"
                effects = self._group.remove(name, gone, now, others_stay=stay)
                self._carry_out(effects)
                rest = member.rest(effects)
                if rest is not None:
                    self._hands.hand_over(rest)
                del self._members[name]
        for settings in by_identity.values():
            known = self._members.get(settings.name)
            if known is None:
                self._add(settings)
            elif known.configured != settings:
                other_hooks = known.configured.hooks != settings.hooks
                known.configured = settings
                self._group.configure(replace(settings, priority=known.settings.priority), now)
                if other_hooks:
                    self._replay(known)
            self._members[settings.name].holding.managed.update(settings.all_addresses)
            self._members[settings.name].holding.managed_paths.update(settings.paths)
        self._group.arrange([settings.name for settings in by_identity.values()], now)
        self._weigh(now)
        self._hands.wills_changed()
        self._work.set()
        self._rearm()

    def _add(self, settings: RouterSettings) -> None:
        self._group.add(settings)
        machine = self._group.members[settings.name]
        plain = priority.add_up(settings.priority, ())
        member = Member(Holding(machine), settings, time.time(), plain)
        self._members[settings.name] = member

    def hold(self, held: bool) -> None:
        """While held, do not preempt a working active router (`Group.hold`)."""
        self._group.hold(held)

    def guide(self, guidance: Guidance) -> None:
        """Go by what two directors agreed; a bar ends with its lease."""
        if self._stopped:
            return
        self._guided.take(guidance, self._members)
        self._weigh(self._hands.now())
        self._work.set()
        self._rearm()

    def promote(self, told: Promote) -> None:
        """Become active now, if that is possible."""
        if not self._stopped and not self._members.keys().isdisjoint(told.routers):
            self._carry_out(self._group.promote(told.reason, self._hands.now()))
            self._rearm()

    def reannounce(self, told: Reannounce) -> None:
        """Tell the neighbors again where the addresses are, if they are here."""
        if not self._stopped and not self._members.keys().isdisjoint(told.routers):
            self._carry_out(self._group.peer_yielded(told.reason, self._hands.now()))
            self._rearm()

    def _bar(self, sentence: str) -> None:
        self._carry_out(self._group.bar(sentence, self._hands.now()))
        self._work.set()
        self._rearm()

    def interface_changed(self, name: str) -> None:
        """Look again at an interface: can it be used, are the addresses as they should be?"""
        if self._stopped:
            return
        for member in list(self._members.values()):
            if name in (member.settings.interface, member.settings.device):
                self._look(member)
        self._hands.wills_changed()  # the source address may be another one
        self._work.set()

    def readings_changed(self) -> None:
        """Look again at what the priorities depend on."""
        if self._stopped:
            return
        self._weigh(self._hands.now())
        self._rearm()
        for member in list(self._members.values()):
            self._look(member)
        self._work.set()  # for the report

    def replay(self) -> None:
        """Have the hooks run for the states as they are."""
        for member in self._members.values():
            self._replay(member)

    def receive(self, interface: str, datagram: Datagram) -> None:
        """Take what arrived for a VRID of ours on an interface, or count why it is not taken."""
        member = self._member_for(interface, datagram)
        if member is None or self._stopped:
            return
        sender = _text(datagram.source)
        try:
            heard = member.accept(datagram)
        except packet.PacketError as error:
            kind = f"rejected-{error.cause}"
            member.ledger.count(kind, sender)
            text = f"a packet from {sender} on {interface} was thrown away: {error}"
            self._warn_once(member, kind, sender, text)
            return
        member.ledger.count("received", sender)
        self._handle(member.settings.name, heard)

    def overhear(self, interface: str, foreign: Heard) -> None:
        """Count an advertisement for a VRID that is nobody's here, and warn if it is about us.

        Other VRIDs on a link are other people's business, unless they come with our addresses.
        """
        for member in self._members.values():
            sentence = member.overhear(interface, foreign)
            if sentence is not None:
                self._warn_once(member, "vrid-differs", str(foreign.source), sentence)

    def wills(self) -> list[RouterWill]:
        """Return what has to be done if this process ends now."""
        members = self._members.values()
        return [will_of(m.machine) for m in members if m.machine.state is State.ACTIVE]

    def report(self) -> None:
        """Tell the supervisor about every member that changed since it was told."""
        for member in self._members.values():
            report = self._report_of(member)
            if report != member.report:
                member.report = report
                self._hands.tell(report)

    def stop(self) -> None:
        """Say and do nothing any more. The addresses stay where they are; the will is for them."""
        self._stopped = True
        self._guided.stop()
        self._alarm.cancel()

    @property
    def managed_addresses(self) -> set[tuple[str, IPAddress]]:
        """Interface and address of everything that this router manages or did manage."""
        return {
            (member.settings.interface, address.ip)
            for member in self._members.values()
            for address in member.holding.managed
        }

    @property
    def settings(self) -> list[RouterSettings]:
        """Those of all members."""
        return [member.settings for member in self._members.values()]

    async def keep_addresses(self) -> None:
        """Make the addresses follow the election until cancelled."""
        complaint = ""
        while True:
            await self._until_work()
            self._work.clear()
            if self._stopped:
                continue
            self.report()  # the new state, now that the will for it has been told
            try:
                holdings = [member.holding for member in self._members.values()]
                await settle(holdings, self._hands, self._work.set)
                complaint = ""
                self._yield_what_was_lost()
                for member in list(self._members.values()):
                    if member.settings.virtual_mac:
                        self._look(member)  # its interface may have become possible, or not
            except AddressError as error:
                if str(error) != complaint:  # once, although tried again every second
                    complaint = str(error)
                    self._tell_event("address-failed", None, complaint)
                asyncio.get_running_loop().call_later(RETRY_S, self._work.set)
            self.report()

    async def _until_work(self) -> None:
        """Wait for something to do; some things are looked after from time to time besides."""
        again_s = look_again_s([member.holding for member in self._members.values()])
        with suppress(TimeoutError):
            async with asyncio.timeout(again_s):
                await self._work.wait()

    def _yield_what_was_lost(self) -> None:
        """Leave the election where an address was taken away, and come back as a backup."""
        for member in list(self._members.values()):
            sentence, member.holding.lost = member.holding.lost, None
            if sentence is not None:
                member.told = Down(sentence)
                self._handle(member.settings.name, member.told)
                self._look(member)

    # -------------------------------------------------------------- the election

    def _look(self, member: Member) -> None:
        """Tell the group whether a member can take part."""
        known = self._usability(member)
        if known != member.told:
            member.told = known
            self._handle(member.settings.name, known)

    def _weigh(self, now: float) -> None:
        """Give every member the priority that its trackers, and those of the others, make."""
        members = self._members.values()
        trackers = dict.fromkeys(t for member in members for t in member.configured.track)
        readings = [(tracker, self._hands.reading(tracker)) for tracker in trackers]
        for member in members:
            plain = priority.add_up(member.configured.priority, readings)
            member.sum = self._guided.capped(plain, self._members)
            before, wanted = member.settings.priority, member.sum.priority
            if before != wanted:
                settings = replace(member.configured, priority=wanted)
                self._group.configure(settings, now)
                text = f"priority {before} to {wanted}: {member.sum.sentence}"
                self._tell_event("priority", member.settings.name, text)

    def _handle(self, member: str, event: Up | Down | Heard) -> None:
        self._carry_out(self._group.handle(member, event, self._hands.now()))
        self._rearm()

    def _on_time(self, now: float) -> None:
        # Packets that came in while the process slept have been handled before: within one turn
        # of the event loop, sockets come before timers. So a backup that was paused hears first.
        self._carry_out(self._group.tick(now))
        self._rearm()

    def _rearm(self) -> None:
        """Have the alarm stand at the group's deadline."""
        self._alarm.set(None if self._stopped else self._group.next_deadline())

    def _carry_out(self, effects: list[Effect]) -> None:
        """Do what the group decided. Advertisements go first, addresses follow by the task."""
        moved = False
        for effect in effects:
            member = self._members[effect.router]
            match effect:
                case Send():
                    self._send(member, effect)
                case HandOver(quietly=quietly):
                    leave = will_of(member.machine)
                    self._hands.hand_over(replace(leave, goodbyes=()) if quietly else leave)
                case Take() | Release():
                    moved = True
                case Announce():
                    member.holding.announce = True
                    self._work.set()
                case Changed():
                    moved = True
                    self._note_change(member, effect)
                case Differs():
                    member.ledger.count(effect.kind, str(effect.source))
                    self._warn_once(member, effect.kind, str(effect.source), effect.sentence)
                case Late():
                    text = f"silent for {format_duration(effect.silent_s)} while active"
                    self._tell_event("late", effect.router, text)
                case Rival() | RivalGone():
                    told = member.tell_rival(effect)
                    if told is not None:
                        self._tell_event(*told)
                case _:
                    assert_never(effect)
        if moved:
            self._hands.wills_changed()
            self._work.set()

    def _send(self, member: Member, effect: Send) -> None:
        source = member.machine.source
        for destination in member.machine.destinations:
            payload = member.encoded(effect, destination)
            try:
                self._hands.send(member.settings, payload, source, destination)
            except OSError as error:
                member.ledger.count("send-failed")
                text = f"cannot send on {member.settings.interface}: {error.strerror or error}"
                self._warn_once(member, "send-failed", str(error.errno), text)
            else:
                member.ledger.count("sent")

    def _note_change(self, member: Member, change: Changed) -> None:
        member.since = time.time()
        member.ledger.count(f"became-{change.new}")
        text = f"{change.old} to {change.new}: {change.reason}"
        self._tell_event("transition", change.router, text)
        if change.new is State.FAULT:
            self._tell_event("fault", change.router, change.reason)
        self._run_hooks(member, change.old, replayed=False)

    def _replay(self, member: Member) -> None:
        self._run_hooks(member, member.machine.state, replayed=True)

    def _run_hooks(self, member: Member, old: State, *, replayed: bool) -> None:
        if member.configured.hooks:
            change = member.change(old, replayed=replayed)
            self._hands.run_hooks(messages.RunHooks(change=change, hooks=member.configured.hooks))

    def _usability(self, member: Member) -> Up | Down:
        """Tell whether a virtual router can work on its interface, and from which address."""
        settings = member.settings
        obstacle = self._hands.obstacle(settings) or member.holding.obstacle
        if obstacle is not None:
            return Down(obstacle)
        if member.sum.fault is not None:
            return Down(member.sum.fault)
        virtual = self._hands.virtual_addresses(settings.interface)
        return usability(settings, self._hands.interface(settings.interface), virtual)

    # ------------------------------------------------------------------ reporting

    def _member_for(self, interface: str, datagram: Datagram) -> Member | None:
        wanted = (interface, datagram.source.version, datagram.vrid)
        for member in self._members.values():
            settings = member.settings
            if (settings.interface, settings.family, settings.vrid) == wanted:
                return member
        return None

    def _warn_once(self, member: Member, kind: str, about: str, sentence: str) -> None:
        if member.ledger.warn(kind, about):
            self._tell_event(kind, member.settings.name, sentence)

    def _tell_event(self, kind: str, router: str | None, sentence: str) -> None:
        self._hands.tell(Event(kind=kind, router=router or self.name, sentence=sentence))

    def _report_of(self, member: Member) -> RouterReport:
        present = self._hands.interface(member.settings.device).present
        phrases = tuple(self._hands.reading(tracker).phrase for tracker in member.configured.track)
        remark = self._hands.remark(member.settings)
        return member.make_report(present, phrases, self._hands.now(), remark=remark)
