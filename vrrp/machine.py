"""The election of one virtual router, without a clock and without a socket (RFC 9568 section 6).

The problem. Several hosts could hold an address and exactly one shall. The one that does, the
*active* router, says so at every interval. The others, the *backups*, wait: three intervals plus a
*skew* that is shorter the higher their priority, so that the best backup speaks first and the
others hear it. An active router that hears a better one steps back, with a last advertisement: the
better one may not have known that there were two. Equal priorities are decided by the higher source
address. An active router that leaves says priority 0, and then only the skew is waited for.

The states
    init     not taking part: before the start and after the stop
    fault    not taking part because the interface cannot be used; left when it can
    backup   holds no address, waits for the active router to fall silent
    active   holds the addresses and advertises

How it is driven. `handle(event, now)` takes what happened and the time, and returns what shall be
done, in order. `next_deadline()` says when to come back with a `Tick` if nothing else happens.
Early ticks are harmless, late ones are noticed: an active router that has been silent for so long
that its peers must have replaced it (it was paused, or starved of processor time) goes to backup
*before* it says anything (`Trigger.LATE`), whatever event woke it.

How to read it. An event is first turned into a `Trigger` (`_trigger_of`), then the table in
`transitions` tells the next state and the actions, then the actions produce effects and set timers.
A trigger without a row in the present state raises `LocalProtocolError` and changes nothing.

A version 3 backup lives by the interval of the *active* router, learnt from its advertisements; its
own interval counts again when it becomes active. In version 2 all have the same interval (others
are not even received, see `reception`), and the skew is a part of one second, not of the interval.
Times are seconds on any clock that never goes back.

This module never reads a clock, never sends, and never knows about groups: `group` drives several
machines with the triggers LEAD, FOLLOW and PEER_LEAVING.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final, assert_never

from vrrp.choices import ChecksumChoice
from vrrp.config import RouterSettings
from vrrp.events import (
    Announce,
    Changed,
    Down,
    Effect,
    Event,
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
    Send,
    State,
    Stop,
    Take,
    Tick,
    Up,
    format_duration,
)
from vrrp.packet import (
    PRIORITY_LEAVING,
    PRIORITY_OWNER,
    Advertisement,
    ChecksumForm,
    IPAddress,
    group_for,
)
from vrrp.peers import differences, own_address
from vrrp.rivalry import Rivalry
from vrrp.transitions import TRANSITIONS, Action, Trigger
from vrrp.waiting import Waiting

REANNOUNCE_SPACING_S: Final = 1.0
"""Hearing a weaker active router makes us announce again, but not more often than this."""


class Machine:
    """One virtual router on one interface of one host."""

    def __init__(self, settings: RouterSettings) -> None:
        self.settings = settings
        self.state = State.INIT
        self.reason = "not started yet"
        self.source: IPAddress = IPv4Address(0)
        self.active_peer: IPAddress | None = None
        """The active router last heard, while it is the one we wait for."""
        self.held = False
        """While held, a backup takes over from silence only, as without preemption."""
        self.barred = ""
        """While this says why, a backup does not take over at all."""
        self._active_interval_s = settings.advertise
        self._form = ChecksumForm.PSEUDO_HEADER
        self._deadline: float | None = None
        self._preempt_at: float | None = None  # while a weaker active router is left in office
        self._announce_again_at: float | None = None
        self._announced_at = float("-inf")
        self._advertised_at = float("-inf")
        self._regular = self._advertisement(settings.priority)  # what is said at every interval
        self._waiting = Waiting()
        self._heard: Heard | None = None
        self._usual: Heard | None = None
        """What the active router said last, where saying it again only prolongs our wait."""
        self.rivalry = Rivalry(settings.name)
        self._speaker: IPAddress | None = None  # of the last advertisement but goodbyes

    # ------------------------------------------------------------------ questions

    @property
    def skew_s(self) -> float:
        """Head start of better backups (RFC 9568 and RFC 3768 section 6.1, Skew_Time)."""
        unit_s = 1.0 if self.settings.version == 2 else self._active_interval_s
        return (256 - self.settings.priority) / 256 * unit_s

    @property
    def active_down_s(self) -> float:
        """How long an active router must be silent to be replaced (Active_Down_Interval)."""
        return 3 * self._active_interval_s + self.skew_s

    @property
    def form(self) -> ChecksumForm:
        """The checksum form to send: as configured, or as the peer does."""
        if self.settings.checksum is ChecksumChoice.FOLLOW:
            return self._form
        return ChecksumForm(self.settings.checksum.value)

    @property
    def destinations(self) -> tuple[IPAddress, ...]:
        """Where advertisements go: to the multicast group, or to each peer but ourselves."""
        if not self.settings.peers:
            return (group_for(self.source),)
        return tuple(peer for peer in self.settings.peers if peer != self.source)

    def next_deadline(self) -> float | None:
        """When to come back with a Tick, or None: not before something else happens."""
        if self._deadline is None:
            return None
        others = (self._announce_again_at, self.rivalry.next_deadline())
        return min([self._deadline, *(at for at in others if at is not None)])

    def is_late(self, now: float) -> bool:
        """Tell whether the peers must have replaced this active router by now.

        They wait three of our intervals and a skew; the skew is left out as a margin.
        """
        silent_s = now - self._advertised_at
        return self.state is State.ACTIVE and silent_s > 3 * self._active_interval_s

    def outlook(self, now: float) -> str:
        """Say for people what keeps a better backup from taking over; empty: nothing."""
        if self.state is State.BACKUP and self.barred:
            return f"does not take over: {self.barred}"
        if self.state is not State.BACKUP or self._preempt_at is None:
            return ""
        if self.held:
            return "does not preempt while it is held"
        left_s = self._preempt_at - now
        return f"preempts in {format_duration(left_s)}" if left_s > 0 else "preempts"

    def is_left_by(self, heard: Heard) -> bool:
        """Tell whether a goodbye comes from the router that was active, as far as we know.

        Of two that were active for a moment (one was paused, say), one leaves and the other goes
        on: its backups have no reason to replace that one.
        """
        goodbye = heard.advertisement.priority == PRIORITY_LEAVING
        return goodbye and self._speaker in (None, heard.source)

    def goodbye(self) -> Advertisement:
        """Return the advertisement that makes the peers take over within their skew."""
        return self._advertisement(PRIORITY_LEAVING)

    # -------------------------------------------------------------------- driving

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Return what follows from `event` at time `now` (seconds), in the order to do it.

        Raises LocalProtocolError when the event makes no sense in this state.
        """
        if event is self._usual:  # by far most of all events, where there are many routers
            self._learn(now)
            self._deadline = now + self.active_down_s
            return []
        self._usual = None
        effects: list[Effect] = []
        if self.is_late(now):
            silent = format_duration(now - self._advertised_at)
            late = f"this process was {silent} late, so a peer must have taken over"
            effects.append(Late(self.settings.name, now - self._advertised_at))
            effects += self._follow_table(Trigger.LATE, late, now)
        if isinstance(event, Heard):
            if event.source == self.source and self.state in (State.BACKUP, State.ACTIVE):
                return [*effects, own_address(self.settings, event)]
            effects += differences(self.settings, event)
            self._heard = event
            self._form = event.form
        if isinstance(event, Up):
            self.source = event.source
        trigger = self._trigger_of(event, now)
        was = self.state
        if trigger is not None:
            reason = self._waiting.explain(trigger, event, self.settings, now)
            effects += self._follow_table(trigger, reason, now)
        if self.state is not State.ACTIVE:
            self.rivalry.step_back()
        elif was is not State.ACTIVE:
            self.rivalry.begin(now)
        elif trigger in (Trigger.INFERIOR, Trigger.LEAVING):
            assert isinstance(event, Heard)
            effects += self.rivalry.hear(event, now, self.settings.advertise)
        effects += self.rivalry.tick(now)
        if self._announce_again_at is not None and now >= self._announce_again_at:
            self._announce_later(now, 0.0)
            effects.append(Announce(self.settings.name))
        if trigger is Trigger.SUPERIOR and not effects:
            assert isinstance(event, Heard)
            # One that is respected only for want of preemption is judged anew each time.
            outranks_us = event.advertisement.priority >= self.settings.priority
            self._usual = event if outranks_us else None
        return effects

    def configure(self, settings: RouterSettings, now: float) -> None:
        """Go on with other settings, in the same state.

        A running wait keeps its deadline; an active router's new priority, interval and addresses
        are in its next advertisement, which is brought forward when the interval became shorter,
        and is due at once when the priority changed: who yields shall yield now.
        Raises LocalProtocolError if name, VRID, interface or group differ: that is another router.
        """
        if settings.identity != self.settings.identity:
            raise LocalProtocolError(f"{settings.name} cannot become another virtual router")
        refreshed = settings.announce_refresh != self.settings.announce_refresh
        reprioritised = settings.priority != self.settings.priority
        self.settings = settings
        self._usual = None
        self._regular = self._advertisement(settings.priority)
        if self.state is State.ACTIVE and refreshed:
            self._announce_later(now, 0.0)
        if self.state is State.ACTIVE and self._deadline is not None:
            soon = now if reprioritised else now + settings.advertise
            self._deadline = min(self._deadline, soon)

    # ---------------------------------------------------------- from event to trigger

    def _trigger_of(self, event: Event, now: float) -> Trigger | None:
        """Say what `event` means in the present state; None: nothing."""
        match event:
            case Heard():
                return self._judge(event, now)
            case Tick():
                if self._deadline is None or now < self._deadline:
                    return None
                if self.barred and self.state is State.BACKUP:
                    self._deadline = now + self.active_down_s
                    return None
                return Trigger.ADVERTISE if self.state is State.ACTIVE else Trigger.SILENCE
            case Up():
                if self.state in (State.BACKUP, State.ACTIVE):
                    return None  # only the source address changed
                owner = self.settings.priority == PRIORITY_OWNER and not event.joins
                return Trigger.START_AS_OWNER if owner else Trigger.START
            case PeerLeaving():
                taking_part = self.state in (State.BACKUP, State.ACTIVE)
                return Trigger.PEER_LEAVING if taking_part else None
            case PeerInferior():
                return Trigger.PEER_INFERIOR if self.state is State.ACTIVE else None
            case PeerYielded():
                return Trigger.PEER_YIELDED if self.state is State.ACTIVE else None
            case Follow():
                return Trigger.FOLLOW if self.state is State.ACTIVE else None
            case Lead():
                return Trigger.LEAD if self.state is not State.ACTIVE else None
            case Down():
                return Trigger.FAULT
            case Stop():
                return Trigger.STOP
            case _:
                assert_never(event)

    def _judge(self, heard: Heard, now: float) -> Trigger | None:
        """Judge another router's advertisement (RFC 9568 sections 6.4.2 and 6.4.3)."""
        theirs, ours = heard.advertisement.priority, self.settings.priority
        if self.state not in (State.BACKUP, State.ACTIVE):
            return None
        if theirs == PRIORITY_LEAVING:
            if self.state is State.BACKUP and not self.is_left_by(heard):
                return None
            return Trigger.LEAVING
        self._speaker = heard.source
        if self.state is State.BACKUP:
            accepted = theirs >= ours or not self._preempts(now)
            if theirs >= ours:
                self._preempt_at = None
        else:
            accepted = (theirs, heard.source) > (ours, self.source)
        return Trigger.SUPERIOR if accepted else Trigger.INFERIOR

    def _preempts(self, now: float) -> bool:
        """Tell whether a weaker active router may be replaced by now."""
        if not self.settings.preempt:
            return False
        if self._preempt_at is None:
            self._preempt_at = now + self.settings.preempt_delay
        return now >= self._preempt_at and not self.held

    # ------------------------------------------------------- from trigger to effects

    def _follow_table(self, trigger: Trigger, reason: str, now: float) -> list[Effect]:
        """Go to the next state and do the actions of the transition."""
        try:
            state, actions = TRANSITIONS[self.state, trigger]
        except KeyError:
            raise LocalProtocolError(
                f"{self.settings.name}: {trigger.name} makes no sense in state {self.state}"
            ) from None
        old, self.state = self.state, state
        if state is not State.BACKUP:
            self.active_peer = self._speaker = self._preempt_at = None
        if trigger is Trigger.START:
            self._active_interval_s = self.settings.advertise
        if trigger is Trigger.INFERIOR and state is State.BACKUP:
            self._waiting.outbid(self._heard)
        self._waiting.note(trigger, reason, now, backup=old is State.BACKUP)
        effects: list[Effect] = []
        for action in actions:
            effects += self._act(action, now)
        if state is not old or state is State.FAULT:
            self.reason = reason
        if state is not old:
            effects.append(Changed(self.settings.name, old, state, reason))
        return effects

    def _act(self, action: Action, now: float) -> list[Effect]:
        """Do one action of the table."""
        name = self.settings.name
        match action:
            case Action.ADVERTISE:
                self._advertised_at = now
                self._active_interval_s = self.settings.advertise  # what the peers go by now
                self._deadline = now + self.settings.advertise
                return [Send(name, self._regular, self.form)]
            case Action.RESIGN:
                return [Send(name, self.goodbye(), self.form)]
            case Action.TAKE:
                return [Take(name)]
            case Action.RELEASE:
                self._announce_again_at = None
                return [Release(name)]
            case Action.HAND_OVER:
                return [HandOver(name)]
            case Action.ANNOUNCE:
                self._announced_at = now
                self._announce_later(now, self.settings.announce_repeat)
                return [Announce(name)]
            case Action.REANNOUNCE:
                if now - self._announced_at < REANNOUNCE_SPACING_S:
                    return []
                self._announced_at = now
                return [Announce(name)]
            case Action.LEARN:
                self._learn(now)
            case Action.WAIT_SILENCE:
                self._deadline = now + self.active_down_s
                self._waiting.outbid(None)
            case Action.WAIT_SKEW:
                skewed = now + self.skew_s
                self._deadline = skewed if self._deadline is None else min(self._deadline, skewed)
            case Action.REST:
                self._deadline = self._announce_again_at = None
            case _:
                assert_never(action)
        return []

    def _announce_later(self, now: float, repeat_s: float) -> None:
        """Neighbours that missed an announcement get another one: repeated, then refreshed."""
        delay_s = repeat_s or self.settings.announce_refresh
        self._announce_again_at = now + delay_s if delay_s else None

    def _learn(self, now: float) -> None:
        """Adopt the interval of the active router heard last, and remember whom we wait for."""
        if self._heard is None:
            raise LocalProtocolError("there is nobody to learn from")
        self._active_interval_s = self._heard.advertisement.interval_cs / 100
        self.active_peer = self._heard.source
        self._waiting.heard(self._heard, now)

    def _advertisement(self, priority: int) -> Advertisement:
        return Advertisement(
            version=self.settings.version,
            password=self.settings.secret,
            vrid=self.settings.vrid,
            priority=priority,
            interval_cs=self.settings.interval_cs,
            addresses=self.settings.plain_addresses,
        )
