"""One director of a simulated world: worker process, supervisor, addresses, clock.

The worker is the real `Group` with this file in place of its wiring: what `vrrp.router` does with
sockets and timers is done here with the world's calendar, in the same order (what waits in the
sockets is handled before the timers). The supervisor goes by `hadirector.watch`: a worker that died
or is frozen for too long is killed, its will is executed (`leaving`), and another one is started.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.simulation import sealing
from tests.simulation.leaving import Leaving
from tests.simulation.network import over_the_wire
from tests.simulation.options import HostOptions, Membership
from tests.simulation.prompt import check_reconfigured
from tests.simulation.sealing import Keeper, Packet
from tests.simulation.story import Reconfigured
from tests.simulation.violation import Violation
from tests.simulation.wish import Wish
from vrrp.config import RouterSettings
from vrrp.events import Changed, Down, Effect, HandOver, Heard, Release, Send, State, Take, Up
from vrrp.group import Group
from vrrp.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

FROZEN_INTERVALS: Final = 2.0  # as in hadirector.limits
FROZEN_MIN_S: Final = 0.1
_CLOCK_TICK_S: Final = 1e-7
"""A timer fires when its time has come, never by a rounding error before."""


class Host:
    """One director."""

    def __init__(self, world: World, options: HostOptions) -> None:
        self.world = world
        self.options = options
        self.name = options.name
        self.wish = Wish(world.options, options)
        self.sources = {
            (number, link): options.source(link, group.family)
            for number, group in enumerate(world.options.groups)
            for link in group.links
        }
        """Where it speaks from, by group and link."""
        self._names = {at: world.options.groups[at[0]].router(at[1]) for at in self.sources}
        self.groups: list[Group] | None = None
        """The worker's; None while there is no worker."""
        self.powered = True
        self.frozen = False
        """The worker process does not run on; `paused` includes the whole host."""
        self.paused = False
        self.telling = False  # a worker is being told of its interfaces, one by one
        self.held = False
        self.lost_links: set[int] = set()
        self.addresses: set[tuple[int, int]] = set()
        """(group, link) of the virtual addresses that are on an interface."""
        self.leaving = Leaving(self)
        self._inbox: list[tuple[int, int, Packet]] = []
        self._keepers: dict[tuple[int, int], Keeper] = {}
        self._thaws = 0  # which freeze the worker is in
        self.life = 0  # which worker it is
        self._armed: dict[int, float | None] = {}

    # ------------------------------------------------------------------ questions

    @property
    def running(self) -> bool:
        """Whether a worker does its work at this moment."""
        return self.groups is not None and not self.frozen

    def clock(self) -> float:
        """This host's clock, seconds."""
        return 1000.0 + self.world.now * self.options.clock_rate

    @property
    def memberships(self) -> list[Membership]:
        """How each group should be run now."""
        return self.wish.memberships

    def machine(self, group: int, link: int) -> Machine | None:
        if self.groups is None:
            return None
        return self.groups[group].members.get(self._names[group, link])

    def armed(self, group: int) -> float | None:
        """When the worker comes back to a group by itself, on this host's clock."""
        return self._armed.get(group)

    def links(self, group: int) -> tuple[int, ...]:
        """Where a group has virtual routers on this host."""
        if self.groups is None:
            return self.wish.links(group)
        links = self.world.options.groups[group].links
        return tuple(link for link in links if self.machine(group, link) is not None)

    def is_active(self, group: int) -> bool:
        return self.groups is not None and self.groups[group].active

    def can_take_part(self, group: int) -> bool:
        """Whether nothing on this host keeps a group from being active."""
        links = self.links(group)
        well = bool(links) and not self.lost_links.intersection(links)
        return self.running and not self.telling and well and self.wish.faulty(group) is None

    # --------------------------------------------------------------------- worker

    def start_worker(self) -> None:
        """A worker begins, knowing nothing."""
        if self.groups is not None or not self.powered:
            return
        self.life += 1
        self._armed.clear()
        self.groups = []
        for number, options in enumerate(self.world.options.groups):
            group = Group(options.name)
            group.hold(self.held)
            self.groups.append(group)
            for settings in self.wish.settings(number).values():
                group.add(settings)
        self.world.watch.started(self)
        self.world.note(self, "its worker starts")
        self._see_all_links()
        self.world.watch.surroundings_changed()

    def apply_configuration(self) -> None:
        """Have the worker know what is configured now."""
        if not self.running or self.groups is None:
            return
        self.world.watch.note_intervals(self)
        for number, group in enumerate(self.groups):
            group.hold(self.held)
            wanted = self.wish.settings(number)
            self._remove(number, [link for link in self.links(number) if link not in wanted])
            for link, settings in wanted.items():
                machine = self.machine(number, link)
                if machine is None:
                    group.add(settings)
                    self._keepers.pop((number, link), None)
                    self.world.watch.joins(self, number)
                elif (before := machine.settings) != settings:
                    group.configure(settings, self.clock())
                    check_reconfigured(self, machine, before.priority)
            group.arrange([settings.name for settings in wanted.values()], self.clock())
            self._see_group(number)
            self._rearm(number)
        self.world.watch.configured(self)

    def _remove(self, group: int, links: list[int]) -> None:
        """Take virtual routers out of a group, as `vrrp.router` does."""
        assert self.groups is not None
        stay = len(self.links(group)) > len(links)
        rest: list[Effect] = []
        for link in links:
            machine = self.machine(group, link)
            assert machine is not None
            name, gone = machine.settings.name, "not in the configuration any more"
            for effect in self.groups[group].remove(name, gone, self.clock(), others_stay=stay):
                if not isinstance(effect, HandOver):
                    rest.append(effect)
                elif effect.quietly:
                    self.addresses.discard((group, link))
                elif stay and self.groups[group].active:
                    raise Violation("goodbye", f"{self.name} says goodbye as {name} and stays")
                else:
                    self.leaving.begin(group, link, machine)
            if machine.state is not State.ACTIVE and not self.leaving.has(group, link):
                self.addresses.discard((group, link))  # it had stepped back just before
            self.world.watch.forgets(self, group, link)
        if links:
            if not stay:
                self.groups[group] = Group(self.world.options.groups[group].name)
                self.groups[group].hold(self.held)
            self._do(group, rest)

    def reconfigure(self, fault: Reconfigured) -> None:
        """Another configuration is loaded."""
        self.wish.change(fault)
        self.apply_configuration()

    def see_links(self, link: int) -> None:
        """The kernel reports a change of an interface."""
        if self.running:
            for number, options in enumerate(self.world.options.groups):
                if link in options.links and self.machine(number, link) is not None:
                    self._see_link(number, link)

    def receive(self, group: int, link: int, packet: Packet) -> None:
        """An advertisement arrives."""
        if not self.powered or link in self.lost_links:
            return
        self.leaving.hear(group, link, packet)
        if self.groups is None:
            return
        if self.frozen:
            self._inbox.append((group, link, packet))  # sockets keep it
            return
        machine = self.machine(group, link)
        if machine is None:
            return  # a VRID that is nobody's here
        heard: Heard | None = packet.heard
        if packet.datagram is not None:
            keeper = self._keepers.setdefault((group, link), Keeper())
            offset_s = self.options.wall_offset_s
            heard = keeper.accept(packet, machine.settings, self.world.now, offset_s)
        if heard is not None:
            self.world.watch.hears(self, group, link, heard)
            name = machine.settings.name
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
        self.telling = True
        self.apply_configuration()
        inbox, self._inbox = self._inbox, []
        for group, link, packet in inbox:
            self.receive(group, link, packet)
        self._see_all_links()  # they may have changed meanwhile
        for number in range(len(self.world.options.groups)):
            self._tick(number, self.life)
        self.leaving.thaw()
        self.world.watch.surroundings_changed()

    def end_worker(self) -> None:
        """The worker is gone; the supervisor executes its will and starts another one."""
        if self.groups is None or self.paused:
            return
        groups, self.groups = self.groups, None
        self._forget_process()
        self.world.watch.leaves_again(self)
        self.leaving.begin_again()
        self.world.note(self, "its worker is gone, the supervisor executes its will")
        for number, group in enumerate(groups):
            for link in self.world.options.groups[number].links:
                machine = group.members.get(self.world.options.groups[number].router(link))
                if machine is not None and machine.state is State.ACTIVE:
                    self.leaving.begin(number, link, machine)
        if not self.leaving.wills:
            self._start_soon()
        self.world.watch.surroundings_changed()

    def power_off(self) -> None:
        self.powered = False
        self.groups = None
        self._forget_process()
        self.addresses.clear()
        self.leaving.wills.clear()

    def power_on(self) -> None:
        if not self.powered:
            self.powered = True
            self._start_soon()

    # ----------------------------------------------------------------- supervisor

    def _start_soon(self) -> None:
        life = self.life
        delay_s = self.world.random.uniform(0, self.world.options.start_max_s)
        self.world.after(delay_s, lambda: self.start_worker() if life == self.life else None)

    def _lose_patience(self, freeze: int) -> None:
        if self.frozen and freeze == self._thaws:
            self.world.note(self, "its worker is frozen and is killed")
            self.end_worker()

    def left(self, group: int, link: int) -> None:
        """A virtual router has been left for good."""
        self.addresses.discard((group, link))
        self._settle_soon(group, link)  # it may be configured, and active, again
        self.world.watch.addresses_moved(self, group, link)
        if not self.leaving.wills:
            self._start_soon()

    # ----------------------------------------------------------------- inner works

    def _forget_process(self) -> None:
        self.frozen = self.paused = self.telling = False
        self._inbox.clear()
        self._keepers.clear()
        self._armed.clear()
        self.life += 1

    def _see_all_links(self) -> None:
        for number in range(len(self.world.options.groups)):
            self._see_group(number)

    def _see_group(self, group: int) -> None:
        """Have the worker look at the interfaces, and the trackers, of one group."""
        before, self.telling = self.telling, True
        for link in self.links(group):
            self._see_link(group, link)
            self._settle_soon(group, link)  # what a former life or a freeze left undone
        self.telling = before

    def _see_link(self, group: int, link: int) -> None:
        assert self.groups is not None
        fault = self.wish.faulty(group)
        if link in self.lost_links:
            fault = f"interface eth{link} has no carrier"
        event = Up(self.sources[group, link]) if fault is None else Down(fault)
        name = self.world.options.groups[group].router(link)
        self._do(group, self.groups[group].handle(name, event, self.clock()))

    def _tick(self, group: int, life: int) -> None:
        if life != self.life or self.frozen or self.groups is None:
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
        self.world.after(wait_s + late_s, partial(self._wake, group, self.life, deadline))

    def _wake(self, group: int, life: int, deadline: float) -> None:
        if self._armed.get(group) == deadline:
            self._tick(group, life)

    def _do(self, group: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            link = int(effect.router.partition(".")[2])
            match effect:
                case Send(_, advertisement, form):
                    self.world.watch.sends(self, group, link, advertisement)
                    heard = over_the_wire(advertisement, self.sources[group, link], form)
                    machine = self.machine(group, link)
                    assert machine is not None
                    self.transmit(group, link, heard, machine.settings, by_worker=True)
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

    def transmit(
        self, group: int, link: int, heard: Heard, settings: RouterSettings, *, by_worker: bool
    ) -> None:
        packet = Packet(heard, group)
        if settings.hmac_keys:
            keeper = self._keepers.setdefault((group, link), Keeper()) if by_worker else None
            offset_s = self.options.wall_offset_s
            packet = sealing.seal(heard, group, settings, keeper, self.world.now, offset_s)
        if link in self.lost_links:
            return
        self.world.network.record(link, packet)
        for other in self.world.hosts.values():
            if other is not self:
                deliver = partial(self._deliver, other, group, link, packet)
                self.world.network.send((link, self.name, other.name), group, deliver)

    def _deliver(self, to: Host, group: int, link: int, packet: Packet, delay_s: float) -> None:
        self.world.after(delay_s, partial(to.receive, group, link, packet))

    def _settle_soon(self, group: int, link: int) -> None:
        """Addresses follow the election a moment later."""
        delay_s = self.world.random.uniform(0, self.world.options.settle_max_s)
        self.world.after(delay_s, partial(self._settle, group, link, self.life))

    def _settle(self, group: int, link: int, life: int) -> None:
        machine = self.machine(group, link)
        if life != self.life or self.frozen or machine is None:
            return
        if machine.state is State.ACTIVE:
            self.addresses.add((group, link))
        else:
            self.addresses.discard((group, link))
        self.world.watch.addresses_moved(self, group, link)
