"""One director of a simulated world: worker process, supervisor, addresses, clock.

The worker is the real `Group` with this file in place of its wiring: what `vrrp.router` does with
sockets and timers is done here with the world's calendar, in the same order (what waits in the
sockets is handled before the timers). The supervisor is a handful of rules taken from `vrrp.will`
and `hadirector.watch`: a worker that died or is frozen for too long is killed, goodbye is said for
it, its addresses stay without answering until a peer is heard or the linger has passed, and then
another one is started.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from tests.simulation.network import over_the_wire
from tests.simulation.options import HostOptions, Membership
from tests.simulation.story import Reconfigured
from vrrp.config import RouterSettings
from vrrp.events import Changed, Down, Effect, Heard, Release, Send, State, Take, Up
from vrrp.group import Group
from vrrp.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

GRACE_S: Final = 0.2  # as in vrrp.will
FROZEN_INTERVALS: Final = 2.0  # as in hadirector.limits
FROZEN_MIN_S: Final = 0.1
_CLOCK_TICK_S: Final = 1e-7
"""A timer fires when its time has come, never by a rounding error before."""


@dataclass(slots=True)
class Will:
    """The leave of one virtual router in progress."""

    group: int
    link: int
    peer_heard: bool = False


class Host:
    """One director."""

    def __init__(self, world: World, options: HostOptions) -> None:
        self.world = world
        self.options = options
        self.name = options.name
        self.memberships: list[Membership] = list(options.memberships)
        """As configured now; a running worker may not have read it yet."""
        self.groups: list[Group] | None = None
        """The worker's; None while there is no worker."""
        self.powered = True
        self.frozen = False
        """The worker process does not run on; `paused` includes the whole host."""
        self.paused = False
        self._telling = False  # a worker is being told of its interfaces, one by one
        self.held = False
        self.lost_links: set[int] = set()
        self.addresses: set[tuple[int, int]] = set()
        """(group, link) of the virtual addresses that are on an interface."""
        self.wills: list[Will] = []
        self._inbox: list[tuple[int, int, Heard]] = []
        self._thaws = 0  # which freeze the worker is in
        self._life = 0  # which worker it is
        self._armed: dict[int, float | None] = {}

    # ------------------------------------------------------------------ questions

    @property
    def running(self) -> bool:
        """Whether a worker does its work at this moment."""
        return self.groups is not None and not self.frozen

    def clock(self) -> float:
        """This host's clock, seconds."""
        return 1000.0 + self.world.now * self.options.clock_rate

    def machine(self, group: int, link: int) -> Machine | None:
        if self.groups is None:
            return None
        return self.groups[group].members[self.world.options.groups[group].router(link)]

    def is_active(self, group: int) -> bool:
        return self.groups is not None and self.groups[group].active

    def can_take_part(self, group: int) -> bool:
        """Whether nothing on this host keeps a group from being active."""
        links = self.world.options.groups[group].links
        return self.running and not self._telling and not self.lost_links.intersection(links)

    # --------------------------------------------------------------------- worker

    def start_worker(self) -> None:
        """A worker begins, knowing nothing."""
        if self.groups is not None or not self.powered:
            return
        self._life += 1
        self._armed.clear()
        self.groups = []
        for number, options in enumerate(self.world.options.groups):
            group = Group(options.name)
            group.hold(self.held)
            self.groups.append(group)
            for settings in self._settings(number):
                group.add(settings)
        self.world.watch.started(self)
        self.world.note(self, "its worker starts")
        self._see_all_links()
        self.world.watch.surroundings_changed()

    def apply_configuration(self) -> None:
        """Have the worker know what is configured now."""
        if not self.running or self.groups is None:
            return
        for number, group in enumerate(self.groups):
            group.hold(self.held)
            for settings in self._settings(number):
                if group.members[settings.name].settings != settings:
                    group.configure(settings, self.clock())
            self._rearm(number)
        self.world.watch.configured(self)

    def reconfigure(self, fault: Reconfigured) -> None:
        """Another configuration is loaded."""
        wish = self.memberships[fault.group]
        if fault.priority is not None:
            wish = replace(wish, priority=fault.priority)
        if fault.interval_s is not None:
            wish = replace(wish, interval_s=fault.interval_s)
        if fault.preempt is not None:
            delay_s = wish.preempt_delay_s if fault.preempt else 0.0
            wish = replace(wish, preempt=fault.preempt, preempt_delay_s=delay_s)
        self.memberships[fault.group] = wish
        self.apply_configuration()

    def see_links(self, link: int) -> None:
        """The kernel reports a change of an interface."""
        if self.running:
            for number, options in enumerate(self.world.options.groups):
                if link in options.links:
                    self._see_link(number, link)

    def receive(self, group: int, link: int, heard: Heard) -> None:
        """An advertisement arrives."""
        if not self.powered or link in self.lost_links:
            return
        self._supervisor_hears(group, link, heard)
        if self.groups is None:
            return
        if self.frozen:
            self._inbox.append((group, link, heard))  # sockets keep it
            return
        name = self.world.options.groups[group].router(link)
        self.world.watch.hears(self, group, link, heard)
        self._do(group, self.groups[group].handle(name, heard, self.clock()))

    def freeze(self, for_s: float, *, whole_host: bool) -> None:
        """The worker (or the whole host) stands still for a while."""
        if not self.running:
            return
        self.frozen, self.paused = True, whole_host
        self._thaws += 1
        freeze = self._thaws
        self.world.after(for_s, partial(self.thaw, freeze))
        if not whole_host:
            patience_s = self.patience_s
            self.world.after(patience_s, partial(self._lose_patience, freeze))
        self.world.watch.surroundings_changed()

    @property
    def patience_s(self) -> float:
        """How long the supervisor bears a worker that does not answer."""
        return max(FROZEN_INTERVALS * min(m.interval_s for m in self.memberships), FROZEN_MIN_S)

    def thaw(self, freeze: int | None = None) -> None:
        """The worker goes on: first what waits in its sockets, then what is due."""
        if not self.frozen or freeze not in (None, self._thaws):
            return
        self.world.note(self, "goes on")
        self.frozen = self.paused = False
        self._telling = True
        self.apply_configuration()
        inbox, self._inbox = self._inbox, []
        for group, link, heard in inbox:
            self.receive(group, link, heard)
        self._see_all_links()  # they may have changed meanwhile
        for number in range(len(self.world.options.groups)):
            self._tick(number, self._life)
        self.world.watch.surroundings_changed()

    def end_worker(self) -> None:
        """The worker is gone; the supervisor executes its will and starts another one."""
        if self.groups is None or self.paused:
            return
        groups, self.groups = self.groups, None
        self._forget_process()
        self.world.note(self, "its worker is gone, the supervisor executes its will")
        for number, group in enumerate(groups):
            for link in self.world.options.groups[number].links:
                machine = group.members[self.world.options.groups[number].router(link)]
                if machine.state is State.ACTIVE:
                    self._begin_will(number, link, machine)
        if not self.wills:
            self._start_soon()
        self.world.watch.surroundings_changed()

    def power_off(self) -> None:
        self.powered = False
        self.groups = None
        self._forget_process()
        self.addresses.clear()
        self.wills.clear()

    def power_on(self) -> None:
        if not self.powered:
            self.powered = True
            self._start_soon()

    # ----------------------------------------------------------------- supervisor

    def _start_soon(self) -> None:
        life = self._life
        delay_s = self.world.random.uniform(0, self.world.options.start_max_s)
        self.world.after(delay_s, lambda: self.start_worker() if life == self._life else None)

    def _lose_patience(self, freeze: int) -> None:
        if self.frozen and freeze == self._thaws:
            self.world.note(self, "its worker is frozen and is killed")
            self.end_worker()

    def _begin_will(self, group: int, link: int, machine: Machine) -> None:
        will = Will(group, link)
        self.wills.append(will)
        self._transmit(group, link, over_the_wire(machine.goodbye(), machine.source, machine.form))
        linger_s = machine.skew_s + machine.settings.advertise
        self.world.after(linger_s, partial(self._end_will, will, self._life))

    def _supervisor_hears(self, group: int, link: int, heard: Heard) -> None:
        if heard.advertisement.priority == 0:
            return
        for will in self.wills:
            if (will.group, will.link) == (group, link) and not will.peer_heard:
                will.peer_heard = True
                grace_s = min(GRACE_S, heard.advertisement.interval_cs / 100)
                self.world.after(grace_s, partial(self._end_will, will, self._life))

    def _end_will(self, will: Will, life: int) -> None:
        if life != self._life or will not in self.wills:
            return
        self.wills.remove(will)
        self.addresses.discard((will.group, will.link))
        self.world.watch.addresses_moved(self, will.group, will.link)
        if not self.wills:
            self._start_soon()

    # ----------------------------------------------------------------- inner works

    def _settings(self, group: int) -> list[RouterSettings]:
        return self.world.options.settings(self.options, group, self.memberships[group])

    def _forget_process(self) -> None:
        self.frozen = self.paused = self._telling = False
        self._inbox.clear()
        self._armed.clear()
        self._life += 1

    def _see_all_links(self) -> None:
        self._telling = True
        for number, options in enumerate(self.world.options.groups):
            for link in options.links:
                self._see_link(number, link)
                self._settle_soon(number, link)  # what a former life or a freeze left undone
        self._telling = False

    def _see_link(self, group: int, link: int) -> None:
        assert self.groups is not None
        lost = link in self.lost_links
        event = Down(f"interface eth{link} has no carrier") if lost else Up(self._source(link))
        name = self.world.options.groups[group].router(link)
        self._do(group, self.groups[group].handle(name, event, self.clock()))

    def _source(self, link: int) -> IPv4Address:
        return self.options.source(link)

    def _tick(self, group: int, life: int) -> None:
        if life != self._life or self.frozen or self.groups is None:
            return
        self._armed.pop(group, None)
        self._do(group, self.groups[group].tick(self.clock()))

    def _rearm(self, group: int) -> None:
        """One timer per group, armed anew only when its deadline changed, as the wiring does."""
        assert self.groups is not None
        deadline = self.groups[group].next_deadline()
        if self._armed.get(group) == deadline:
            return
        self._armed[group] = deadline
        if deadline is None:
            return
        wait_s = max(0.0, deadline - self.clock()) / self.options.clock_rate + _CLOCK_TICK_S
        late_s = self.world.random.uniform(0, self.world.options.wake_late_max_s)
        self.world.after(wait_s + late_s, partial(self._wake, group, self._life, deadline))

    def _wake(self, group: int, life: int, deadline: float) -> None:
        if self._armed.get(group) == deadline:
            self._tick(group, life)

    def _do(self, group: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            link = int(effect.router.partition(".")[2])
            match effect:
                case Send(_, advertisement, form):
                    self.world.watch.sends(self, group, link, advertisement)
                    heard = over_the_wire(advertisement, self._source(link), form)
                    self._transmit(group, link, heard)
                case Take() | Release():
                    self._settle_soon(group, link)
                case Changed():
                    sentence = f"{effect.router} {effect.old} to {effect.new}: {effect.reason}"
                    self.world.note(self, sentence)
                    self.world.watch.changes(self, group, link, effect)
                case _:
                    pass
        self._rearm(group)
        self.world.watch.stepped(self, group)

    def _transmit(self, group: int, link: int, heard: Heard) -> None:
        if link in self.lost_links:
            return
        for other in self.world.hosts.values():
            if other is not self:
                deliver = partial(self._deliver, other, group, link, heard)
                self.world.network.send((link, self.name, other.name), group, deliver)

    def _deliver(self, to: Host, group: int, link: int, heard: Heard, delay_s: float) -> None:
        self.world.after(delay_s, partial(to.receive, group, link, heard))

    def _settle_soon(self, group: int, link: int) -> None:
        """Addresses follow the election a moment later."""
        delay_s = self.world.random.uniform(0, self.world.options.settle_max_s)
        self.world.after(delay_s, partial(self._settle, group, link, self._life))

    def _settle(self, group: int, link: int, life: int) -> None:
        machine = self.machine(group, link)
        if life != self._life or self.frozen or machine is None:
            return
        if machine.state is State.ACTIVE:
            self.addresses.add((group, link))
        else:
            self.addresses.discard((group, link))
        self.world.watch.addresses_moved(self, group, link)
