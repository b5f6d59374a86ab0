"""Virtual routers that move together.

The problem. A director that does NAT needs its outside address and its inside address at the same
time: replies of the real servers come back to the inside address. Two elections that run side by
side can end differently on the two sides, and then nothing works although both sides have an active
router.

The approach. A group is in one state. Its rules, each of them against one way of falling apart:

* It starts when *every* member's interface can be used; one fault takes all members down.
* It becomes active when *every* member's wait has run out. As long as one side still hears the
  active director, that one still serves both sides.
* A goodbye (priority 0) heard by one member shortens the wait of all: the peer leaves as a group,
  although its other link may not be able to carry the message.
* A weaker active router heard by one member has all announce their addresses again: it was active
  on every side.
* When one member yields to a better router or notices that it is late, all step back.
* Two actives of equal priority are told apart by address, and the order of addresses may be the
  other way round on the other link. So the first member decides; another one only when the first
  has been active for the time of a takeover and has heard nobody. Asked sooner, the members could
  decide one for each side, both sides step back, and do the same again after each takeover.
* Effects come out in phases: advertisements of all members, then addresses of all, then
  announcements of all, so that both sides move within the same moment.

A virtual router without a group is a group of one, so there is one way through the code.

This module never does I/O and never reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from vrrp.config import RouterSettings
from vrrp.events import (
    Announce,
    Changed,
    Differs,
    Down,
    Effect,
    Follow,
    HandOver,
    Heard,
    Late,
    Lead,
    LocalProtocolError,
    PeerInferior,
    PeerLeaving,
    PeerYielded,
    Release,
    Rival,
    RivalGone,
    Send,
    State,
    Stop,
    Take,
    Tick,
    Up,
)
from vrrp.machine import Machine

_PHASE: Final = MappingProxyType(
    {
        Send: 0,
        HandOver: 0,
        Take: 1,
        Release: 1,
        Announce: 2,
        Late: 3,
        Changed: 3,
        Differs: 3,
        Rival: 3,
        RivalGone: 3,
    }
)


class Group:
    """The machines of one group. `name` is the group's, or that of its only member."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._members: dict[str, Machine] = {}
        # What is known of each member's interface: usable, or the sentence why not.
        self._interfaces: dict[str, Up | Down] = {}
        # When the first member last heard anybody, or else became active.
        self._first_heard_at = float("-inf")
        self._held = False
        self._barred = ""

    @property
    def members(self) -> Mapping[str, Machine]:
        """The machines by name of virtual router, in the order of the configuration."""
        return MappingProxyType(self._members)

    @property
    def active(self) -> bool:
        """Whether this group holds its addresses (a member just added may still be starting)."""
        return any(machine.state is State.ACTIVE for machine in self._members.values())

    def add(self, settings: RouterSettings) -> None:
        """Add a virtual router; it takes part once its interface is reported Up.

        Raises LocalProtocolError if the name is taken.
        """
        if settings.name in self._members:
            raise LocalProtocolError(f"{settings.name} is in group {self.name} already")
        machine = self._members[settings.name] = Machine(settings)
        machine.held = self._held
        machine.barred = self._barred

    def remove(
        self, router: str, sentence: str, now: float, *, others_stay: bool = False
    ) -> list[Effect]:
        """Take a virtual router out of the group; an active one hands over in good order.

        With `others_stay`, the rest of an active group stays active here. Then there is nobody to
        hand over to, and a goodbye would have the peers take over all of the group.
        """
        machine = self._members.pop(router)
        was_down = isinstance(self._interfaces.pop(router, None), Down)
        effects = machine.handle(Stop(sentence), now)
        if others_stay and self.active:
            effects = [
                HandOver(effect.router, quietly=True) if isinstance(effect, HandOver) else effect
                for effect in effects
            ]
        if was_down and others_stay:  # those that leave as well begin nothing any more
            effects += self._apply_interfaces(now)
        return _in_phases(effects)

    def arrange(self, order: Iterable[str], now: float) -> None:
        """Have the members in the order of the configuration, whatever was added when.

        The first one decides between equal routers, so it has to be the same one on all directors.
        `order` has the names of all members.
        """
        first = next(iter(self._members), None)
        self._members = {name: self._members[name] for name in order}
        if next(iter(self._members), None) != first:
            self._first_heard_at = now  # not known of this one: let it listen first

    def stop(self, sentence: str, now: float) -> list[Effect]:
        """End the part of all members; they hand over in good order if active."""
        effects: list[Effect] = []
        for machine in self._members.values():
            effects += machine.handle(Stop(sentence), now)
        return _in_phases(effects)

    def configure(self, settings: RouterSettings, now: float) -> None:
        """Give a member other settings (see Machine.configure)."""
        self._members[settings.name].configure(settings, now)

    def hold(self, held: bool) -> None:
        """While held, take over from silence but not from a working active router.

        For a director whose services are not ready yet: it would take the clients only to fail
        them. Once released, it preempts as configured.
        """
        self._held = held
        for machine in self._members.values():
            machine.held = held

    def bar(self, sentence: str, now: float) -> list[Effect]:
        """While there is a sentence, nobody here is active: a peer is, and cannot be heard.

        Nothing is said to the peers: they need not take over.
        """
        self._barred = sentence
        effects: list[Effect] = []
        for machine in self._members.values():
            machine.barred = sentence
            if sentence and machine.state is State.ACTIVE:
                effects += machine.handle(Follow(sentence), now)
        return _in_phases(effects)

    def promote(self, sentence: str, now: float) -> list[Effect]:
        """Become active without waiting, if every member can; an active peer hears of it."""
        effects = self._fence(now)
        members = list(self._members.values())
        if members and all(one.state is State.BACKUP and not one.barred for one in members):
            effects += members[0].handle(Lead(sentence), now)
        return _in_phases(effects + self._move_together(effects, now))

    def peer_yielded(self, sentence: str, now: float) -> list[Effect]:
        """Tell the neighbors again: an active peer that we did not hear has stepped back."""
        effects = self._fence(now)
        for machine in self._members.values():
            effects += machine.handle(PeerYielded(sentence), now)
        return _in_phases(effects)

    def handle(self, router: str, event: Up | Down | Heard, now: float) -> list[Effect]:
        """Return what follows from something that happened to one member."""
        effects = self._fence(now)
        if isinstance(event, Heard):
            effects += self._hear(router, event, now)
        else:
            self._interfaces[router] = event
            effects += self._apply_interfaces(now)
        return _in_phases(effects + self._move_together(effects, now))

    def tick(self, now: float) -> list[Effect]:
        """Return what is due at this time."""
        effects = self._fence(now)
        due = self.next_deadline()
        if due is None or now < due:
            return _in_phases(effects)
        for machine in self._members.values():
            effects += machine.handle(Tick(), now)
        return _in_phases(effects + self._move_together(effects, now))

    def next_deadline(self) -> float | None:
        """When to call `tick` if nothing else happens; None: not at all."""
        machines = self._members.values()
        deadlines = [at for machine in machines if (at := machine.next_deadline()) is not None]
        if self.active:
            return min(deadlines, default=None)
        if any(machine.state is not State.BACKUP for machine in machines):
            return None  # some member cannot take part, so nobody's wait counts
        # Every member must have waited in vain, so the last one decides.
        return max(deadlines, default=None)

    # ------------------------------------------------------------------ the rules

    def _hear(self, router: str, heard: Heard, now: float) -> list[Effect]:
        machine = self._members[router]
        if self._is_undecided_tie(machine, heard, now):
            return []
        leaves = machine.is_left_by(heard)
        effects = machine.handle(heard, now)
        announces = any(isinstance(effect, Announce) for effect in effects)
        for other in self._others(machine):
            if leaves:
                news = f"{router} heard priority 0 from {heard.source}"
                effects += other.handle(PeerLeaving(news), now)
            if announces and machine.state is State.ACTIVE:
                news = f"{router} heard {heard.source}, active as well"
                effects += other.handle(PeerInferior(news), now)
        return effects

    def _is_undecided_tie(self, machine: Machine, heard: Heard, now: float) -> bool:
        """Tell whether an equal priority shall be left to the first member to decide."""
        first = next(iter(self._members.values()))
        if machine is first:
            self._first_heard_at = now
            return False
        equal = heard.advertisement.priority == machine.settings.priority
        first_hears = now - self._first_heard_at <= first.active_down_s
        return machine.state is State.ACTIVE and equal and first_hears

    def _apply_interfaces(self, now: float) -> list[Effect]:
        """Start or stop taking part, by what is known of all the members' interfaces."""
        effects: list[Effect] = []
        faults = {
            name: known.sentence
            for name, known in self._interfaces.items()
            if isinstance(known, Down)
        }
        waiting = any(machine.state is State.BACKUP for machine in self._members.values())
        for name, machine in self._members.items():
            known = self._interfaces.get(name)
            if faults:
                faulty, why = next(iter(faults.items()))
                text = faults.get(name, f"group {self.name}: {faulty} cannot take part: {why}")
                effects += machine.handle(Down(text), now)
            elif isinstance(known, Up) and len(self._interfaces) == len(self._members):
                effects += machine.handle(replace(known, joins=waiting), now)
        return effects

    def _fence(self, now: float) -> list[Effect]:
        """Step back, all of us, if one is so late that its peers must have replaced it."""
        effects: list[Effect] = []
        if any(machine.is_late(now) for machine in self._members.values()):
            # A Tick lets a late machine find out by itself; the others are told to follow.
            for machine in self._members.values():
                if machine.is_late(now):
                    effects += machine.handle(Tick(), now)
            effects += self._move_together(effects, now)
        return effects

    def _move_together(self, effects: list[Effect], now: float) -> list[Effect]:
        """Make the others do what one member has just done."""
        further: list[Effect] = []
        for change in [effect for effect in effects if isinstance(effect, Changed)]:
            changed = self._members[change.router]
            if change.new is State.ACTIVE:
                self._first_heard_at = now
            if change.old is State.ACTIVE and change.new is State.BACKUP:
                news = f"group {self.name}: {change.router} stepped back: {change.reason}"
                for other in self._others(changed):
                    further += other.handle(Follow(news), now)
            elif change.new is State.ACTIVE:
                news = f"group {self.name}: {change.router} became active: {change.reason}"
                for other in self._others(changed):
                    if other.state is State.BACKUP:
                        further += other.handle(Lead(news), now)
            elif change.new is State.BACKUP and any(
                other.state is State.ACTIVE for other in self._others(changed)
            ):
                news = f"group {self.name} is active"  # a member that was added to it just now
                further += changed.handle(Lead(news), now)
        return further

    def _others(self, machine: Machine) -> list[Machine]:
        return [other for other in self._members.values() if other is not machine]


def _in_phases(effects: list[Effect]) -> list[Effect]:
    """Order effects so that all members advertise before the first one touches an address."""
    return sorted(effects, key=lambda effect: _PHASE[type(effect)])
