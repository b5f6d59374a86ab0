"""What must hold at every step of a simulated world.

Two kinds of promises. Some hold after each step of a host, and are looked at there: a group is
never split, timers are short enough (`prompt`), nobody takes over from a live router it has to
respect, nobody who was too late says anything as active. The others have a bound: when their
condition begins, a *duty* with a deadline is entered, when it ends the duty is struck out, and
before each step the world asks whether one is overdue. Bounds are computed from the options of the
world, clock drift included.

    two-active   two that hear each other are both active only until the better one was heard
    silent       a healthy backup that hears nobody it must respect becomes active, and after a
                 goodbye within its skew; so there are never no actives for longer than this while
                 a healthy router exists
    held         an address stays on an interface only while active, or for the bounded leave

This file knows the rules of RFC 9568 and of our configuration on its own account, from what was
delivered to whom; of the machines it asks nothing but their state, timer and addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from tests.simulation.leaving import GRACE_S
from tests.simulation.prompt import SLACK_S, check_timer
from tests.simulation.violation import Violation
from vrrp.events import Changed, Heard, State
from vrrp.packet import Advertisement, IPAddress

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class _Respected:
    """The newest advertisement that kept a member of a backup from taking over."""

    at: float
    """On the host's own clock."""
    interval_s: float
    source: IPAddress


_Duty = tuple[float, str, str]
"""Deadline (true time), invariant, sentence."""


class Watch:
    """The duties of one world, and what is remembered to judge it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.transitions = 0
        self.ends_at = float("inf")
        self._calm_from = float("inf")
        self._changed_at = 0.0
        options = world.options
        everybody = [one for host in options.hosts for one in host.memberships]
        slowest = min(host.clock_rate for host in options.hosts)
        self._interval_s = max(one.interval_s for one in everybody) / slowest
        self._delay_s = max(one.preempt_delay_s for one in everybody) / slowest
        self._slowest = slowest
        self._fastest = max(host.clock_rate for host in options.hosts)
        self._duties: dict[tuple[object, ...], _Duty] = {}
        self._active: dict[tuple[str, int], bool] = {}
        self._healthy: set[tuple[str, int]] = set()
        self._respected: dict[tuple[str, int, int], _Respected] = {}
        self._weaker_since: dict[tuple[str, int, int], float] = {}
        self._goodbyes: dict[tuple[str, int, int], dict[IPAddress, float]] = {}
        self._advertised: dict[tuple[str, int, int], tuple[float, float]] = {}
        self._leaving: dict[tuple[str, int, int], str] = {}

    # --------------------------------------------------------------------- bounds

    def _silence_s(self) -> float:
        """Three intervals and a skew, which is shorter than one interval."""
        return 4 * self._interval_s + self.world.options.wake_late_max_s + SLACK_S

    def _skew_s(self) -> float:
        """A skew, whatever the priority and version, and being woken late."""
        return self._interval_s + self.world.options.wake_late_max_s + SLACK_S

    def _audible_s(self) -> float:
        """Until an active router's advertisement has arrived for certain."""
        options = self.world.options
        lossy = options.loss > 0 and not self.world.network.perfect
        sent = 1 + (options.lost_in_a_row_max if lossy else 0)
        late_s = options.wake_late_max_s
        return sent * (self._interval_s + late_s) + options.delay_max_s + SLACK_S

    def _leave_s(self) -> float:
        """The longest last will: a skew, an interval, and the grace."""
        return 2 * self._interval_s + GRACE_S + SLACK_S

    # -------------------------------------------------------------- told by the world

    def before(self, at: float) -> None:
        """Raise Violation if a duty is overdue at this time."""
        for deadline, invariant, sentence in self._duties.values():
            if deadline < at:
                raise Violation(invariant, f"{sentence} (bound: {deadline:.6f} s)")

    def surroundings_changed(self) -> None:
        """Something happened to hosts or wires: look at everything again."""
        for host in self.world.hosts.values():
            for group in range(len(self.world.options.groups)):
                self._look_at_health(host, group)
                for link in self.world.options.groups[group].links:
                    self.addresses_moved(host, group, link)
        for group in range(len(self.world.options.groups)):
            self._look_at_pairs(group)

    def configured(self, host: Host) -> None:
        """A host goes by another configuration: bounds that hang on it begin anew."""
        self.note_intervals(host)
        for key in [key for key in self._duties if key[0] == "two-active" and host.name in key]:
            del self._duties[key]
        self.surroundings_changed()

    def started(self, host: Host) -> None:
        """A worker begins: it has heard nothing yet."""
        self.note_intervals(host)
        for memory in (self._respected, self._weaker_since, self._goodbyes, self._advertised):
            for key in [key for key in memory if key[0] == host.name]:
                del memory[key]

    def forgets(self, host: Host, group: int, link: int) -> None:
        """A worker runs a virtual router no more; a goodbye that it heard there counts on."""
        key = (host.name, group, link)
        for memory in (self._respected, self._weaker_since, self._advertised):
            memory.pop(key, None)

    def joins(self, host: Host, group: int) -> None:
        """A virtual router was added to a group: all of it waits for that one's silence, too."""
        self._healthy.discard((host.name, group))

    def leaves_again(self, host: Host) -> None:
        """A worker has ended while it was leaving something: its supervisor begins anew."""
        for key in [key for key in self._leaving if key[0] == host.name]:
            del self._leaving[key]

    def hears(self, host: Host, group: int, link: int, heard: Heard) -> None:
        """A worker is about to handle an advertisement."""
        machine = host.machine(group, link)
        if machine is None or machine.state not in (State.BACKUP, State.ACTIVE):
            return
        if heard.source == host.sources[group, link]:
            return  # its own words, said again by somebody
        key = (host.name, group, link)
        advertisement, clock = heard.advertisement, host.clock()
        state = State.BACKUP if self._is_late(key, clock) else machine.state
        if advertisement.priority == 0:
            self._goodbyes.setdefault(key, {})[heard.source] = clock
            last = self._respected.get(key)
            if last is not None and last.source == heard.source:
                self._expect_takeover(host, group, self._skew_s())
        elif self._must_respect(host, key, heard, state):
            interval_s = advertisement.interval_cs / 100
            self._respected[key] = _Respected(clock, interval_s, heard.source)
            if (host.name, group) in self._healthy and not host.is_active(group):
                self._expect_takeover(host, group)
        else:
            self._respected.pop(key, None)

    def sends(self, host: Host, group: int, link: int, advertisement: Advertisement) -> None:
        """A worker advertises."""
        key, clock = (host.name, group, link), host.clock()
        if advertisement.priority == 0:
            return
        if self._is_late(key, clock):
            text = f"{host.name} speaks as active after a silence of more than three intervals"
            raise Violation("late", text)
        self._advertised[key] = (clock, advertisement.interval_cs / 100)

    def changes(self, host: Host, group: int, link: int, change: Changed) -> None:
        """A virtual router changed its state."""
        self.transitions += 1
        self._changed_at = self.world.now
        key = (host.name, group, link)
        begins = not self._active.get((host.name, group))  # else it joins those that are active
        if change.old is State.BACKUP and change.new is State.ACTIVE and begins:
            self._look_at_takeover(host, group)
        if change.new is not State.ACTIVE:
            self._advertised.pop(key, None)
        if change.new is not State.BACKUP:
            self._weaker_since.pop(key, None)
        if change.new is State.FAULT:
            self._respected.pop(key, None)

    def stepped(self, host: Host, group: int) -> None:
        """A worker's group has handled something."""
        assert host.groups is not None
        members = host.groups[group].members
        states = [machine.state for machine in members.values()]
        active, key = State.ACTIVE in states, (host.name, group)
        # While the worker is told of its interfaces, one just added does not know its own yet.
        away = active and any(
            state is not State.ACTIVE and not (host.telling and state is State.INIT)
            for state in states
        )
        if away:
            told = ", ".join(f"{name} is {machine.state}" for name, machine in members.items())
            raise Violation("split", f"{host.name}: {told}")
        if self._active.get(key) is not active:
            self._active[key] = active
            self._look_at_pairs(group)
            self._expect_takeover(host, group)
            for link in self.world.options.groups[group].links:
                self.addresses_moved(host, group, link)
        wait_max_s = 4 * self._interval_s * self._fastest
        check_timer(host, group, wait_max_s, self._name(group))

    def addresses_moved(self, host: Host, group: int, link: int) -> None:
        """See to the duty of leaving an address."""
        key = (host.name, group, link)
        why = self._why_held(host, group, link)
        if self._leaving.get(key) == why:
            return
        self._leaving.pop(key, None)
        self._duties.pop(("held", *key), None)
        if why:
            self._leaving[key] = why
            options = self.world.options
            bound_s = {
                "stepped back": options.settle_max_s,
                "started": options.start_max_s + options.settle_max_s,
                "gone": self._leave_s(),
                "frozen": host.patience_s + self._leave_s(),
            }[why] + SLACK_S
            text = f"{host.name} ({why}) still has the address of {self._name(group, link)}"
            self._duties["held", *key] = (self.world.now + bound_s, "held", text)

    def heal(self) -> None:
        """All is well from now on: within a bound, there shall be one active of each group."""
        options = self.world.options
        for host in self.world.hosts.values():  # those too that only start now
            self.note_intervals(host)
        self.surroundings_changed()
        ready_s = options.start_max_s
        if any(host.leaving.wills for host in self.world.hosts.values()):
            ready_s += self._leave_s()
        # Who holds the addresses is known one takeover (or preemption) and one hearing later.
        bound_s = ready_s + self._delay_s + self._silence_s() + self._audible_s()
        bound_s += options.delay_max_s
        if self._delay_s:
            bound_s += self._silence_s()  # the better one only counts from the end of its delay
        if any(len(group.links) > 1 for group in options.groups):
            bound_s += self._silence_s() + self._audible_s()  # equals that both stepped back
        self._calm_from = self.world.now + bound_s
        self.ends_at = self._calm_from + self._silence_s()

    def at_the_end(self) -> None:
        """Judge how it ended."""
        for group, options in enumerate(self.world.options.groups):
            active = [host for host in self.world.hosts.values() if host.is_active(group)]
            if len(active) != 1:
                names = " ".join(host.name for host in active) or "nobody"
                raise Violation("healed", f"{options.name}: {names} active after all was healed")
            ours = active[0].memberships[group].priority
            for host in self.world.hosts.values():
                theirs = host.memberships[group]
                if theirs.preempt and theirs.priority > ours:
                    text = f"{options.name}: {active[0].name} ({ours}) is active, although "
                    raise Violation("priority", f"{text}{host.name} has {theirs.priority}")
            for link in options.links:
                holders = [h for h in self.world.hosts.values() if (group, link) in h.addresses]
                if holders != active:
                    names = " ".join(host.name for host in holders) or "nobody"
                    raise Violation("held", f"{self._name(group, link)}: {names} has the address")
        if self._changed_at > self._calm_from:
            raise Violation("restless", "roles still change after all was healed")

    # ------------------------------------------------------------------- the rules

    def note_intervals(self, host: Host) -> None:
        """Bounds go by the longest interval there ever was."""
        for one in host.memberships:
            self._interval_s = max(self._interval_s, one.interval_s / self._slowest)

    def _must_respect(
        self, host: Host, key: tuple[str, int, int], heard: Heard, state: State
    ) -> bool:
        """Whether an advertisement keeps this host from being active."""
        _, group, link = key
        wish, theirs = host.memberships[group], heard.advertisement.priority
        if state is State.ACTIVE:
            if theirs == wish.priority and link != self.world.options.groups[group].links[0]:
                return False  # a tie is the first member's to decide
            return (theirs, heard.source) > (wish.priority, host.sources[group, link])
        if theirs >= wish.priority:
            self._weaker_since.pop(key, None)
            return True
        if not wish.preempt:
            return True
        since = self._weaker_since.setdefault(key, host.clock())
        return host.held or host.clock() < since + wish.preempt_delay_s

    def _is_late(self, key: tuple[str, int, int], clock: float) -> bool:
        """Whether an active router has been silent for so long that it must have been replaced."""
        said = self._advertised.get(key)
        return said is not None and clock - said[0] > 3 * said[1] + SLACK_S

    def _look_at_health(self, host: Host, group: int) -> None:
        key, duty = (host.name, group), ("silent", host.name, group)
        if not host.can_take_part(group):
            self._healthy.discard(key)
            self._duties.pop(duty, None)
        elif key not in self._healthy:
            self._healthy.add(key)
            self._expect_takeover(host, group)
        self._active[key] = host.is_active(group)

    def _expect_takeover(self, host: Host, group: int, within_s: float | None = None) -> None:
        """Unless it hears somebody it must respect, this host has to become active.

        `within_s`: sooner than after a silence, for the one it respected has said goodbye.
        """
        duty = ("silent", host.name, group)
        self._duties.pop(duty, None)
        if (host.name, group) in self._healthy and not host.is_active(group):
            text = f"{host.name} hears nobody and does not become active ({self._name(group)})"
            bound_s = self._silence_s() if within_s is None else within_s
            self._duties[duty] = (self.world.now + bound_s, "silent", text)

    def _look_at_pairs(self, group: int) -> None:
        """Two actives that hear each other: only until the better one was heard."""
        for one, other in combinations(self.world.hosts.values(), 2):
            key = ("two-active", group, one.name, other.name)
            if not self._must_settle(group, one, other):
                self._duties.pop(key, None)
            elif key not in self._duties:
                bound_s = self._audible_s()
                if self._is_tie(group, one, other):
                    # The first member decides; where it was not heard, its silence comes first.
                    bound_s += self._silence_s() + self._audible_s()
                text = f"{one.name} and {other.name} are both active ({self._name(group)})"
                self._duties[key] = (self.world.now + bound_s, "two-active", text)

    def _is_tie(self, group: int, one: Host, other: Host) -> bool:
        several = len(self.world.options.groups[group].links) > 1
        equal = one.memberships[group].priority == other.memberships[group].priority
        return several and equal

    def _must_settle(self, group: int, one: Host, other: Host) -> bool:
        if not all(h.running and h.is_active(group) for h in (one, other)):
            return False
        links = [link for link in one.links(group) if link in other.links(group)]
        is_open = self.world.network.is_open
        if self._is_tie(group, one, other):
            pairs = [(one, other), (other, one)]
            return all(is_open(link, a.name, b.name) for a, b in pairs for link in links)
        better, worse = one, other
        if not links:
            return False
        rank = [(h.memberships[group].priority, h.sources[group, links[0]]) for h in (one, other)]
        if rank[1] > rank[0]:
            better, worse = other, one
        return any(is_open(link, better.name, worse.name) for link in links)

    def _look_at_takeover(self, host: Host, group: int) -> None:
        """Nobody takes over from a live router that it has to respect."""
        clock = host.clock()
        links = self.world.options.groups[group].links
        for link in links:
            respected = self._respected.get((host.name, group, link))
            if respected is None or clock - respected.at >= 3 * respected.interval_s - SLACK_S:
                continue
            elsewhere = [
                at
                for other in links
                if other != link
                for at in self._goodbyes.get((host.name, group, other), {}).values()
            ]
            here = self._goodbyes.get((host.name, group, link), {}).get(respected.source)
            if not any(at >= respected.at for at in (*elsewhere, here) if at is not None):
                text = (
                    f"{host.name} takes over {self._name(group)}, although it heard "
                    f"{respected.source} {clock - respected.at:.4f} s ago on link {link}"
                )
                raise Violation("usurped", text)

    def _why_held(self, host: Host, group: int, link: int) -> str:
        """Why a host still has an address that it may not keep; empty: it has not, or may."""
        if (group, link) not in host.addresses or host.paused:
            return ""
        if host.frozen:
            return "frozen"
        machine = host.machine(group, link)
        if machine is None:
            return "gone" if host.leaving.wills else "started"
        return "" if machine.state is State.ACTIVE else "stepped back"

    def _name(self, group: int, link: int | None = None) -> str:
        options = self.world.options.groups[group]
        return options.name if link is None else options.router(link)
