"""The clock of a simulated world, and its life from the first step to the verdict.

A calendar holds everything that is going to happen; the earliest entry is always next, and before
it is done the `Watch` looks whether anything promised has not been kept until then. After the
chaos everything is healed: no cut, no loss, all hosts on, nothing held. From then on there is a
bound within which there must be exactly one active host per group, the right one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from traceback import format_exception
from typing import Final

from tests.simulation import sealing
from tests.simulation.host import Host
from tests.simulation.network import Network
from tests.simulation.options import Options
from tests.simulation.story import (
    Fault,
    Forged,
    Held,
    HostPaused,
    KeysRotated,
    LinkLost,
    MemberRemoved,
    Partition,
    PowerLoss,
    Reconfigured,
    Removed,
    Replayed,
    TrackerFails,
    WorkerFrozen,
    WorkerKilled,
)
from tests.simulation.violation import Violation
from tests.simulation.watch import Watch
from vrrp.keys import HmacKey

STEPS_MAX: Final = 200_000
"""More than any world needs; one that takes more runs in a circle."""


@dataclass(frozen=True)
class Outcome:
    """How a world ended."""

    violation: Violation | None
    steps: int
    changes: int
    """Transitions of virtual routers."""
    timeline: tuple[str, ...]


class World:
    """One world."""

    def __init__(self, options: Options, story: tuple[Fault, ...], *, record: bool = False) -> None:
        self.options = options
        self.story = story
        self.now = 0.0
        self.random = Random(f"world of {options.seed}")
        self.network = Network(options)
        self.hosts = {host.name: Host(self, host) for host in options.hosts}
        self.watch = Watch(self)
        self.timeline: list[str] | None = [] if record else None
        self.healed = False
        self._keys = 1
        self._rotating = False
        self._attacker = Random(f"attacker of {options.seed}")
        self._calendar: list[tuple[float, int, Callable[[], object]]] = []
        self._entries = 0

    def after(self, delay_s: float, do: Callable[[], object]) -> None:
        """Have something done so many seconds from now."""
        self._entries += 1
        heapq.heappush(self._calendar, (self.now + delay_s, self._entries, do))

    def note(self, host: Host | None, sentence: str) -> None:
        """Write a line of the timeline, if anybody wants to read it."""
        if self.timeline is not None:
            who = host.name if host is not None else ""
            self.timeline.append(f"{self.now:12.6f} s  {who:<5} {sentence}")

    def run(self) -> Outcome:
        """Live to the end, or to the first promise that is not kept."""
        violation, steps = None, 0
        for host in self.hosts.values():
            self.after(0.0, host.start_worker)
        for fault in self.story:
            self.after(fault.at_s, partial(self._befall, fault))
        self.after(self.options.chaos_s, self._heal)
        try:
            for host in self.hosts.values():
                host.wish.weigh()
            while self._calendar:
                at, _, do = heapq.heappop(self._calendar)
                self.watch.before(at)
                self.now = at
                if self.healed and at > self.watch.ends_at:
                    break
                do()
                steps += 1
                if steps > STEPS_MAX:
                    raise Violation("endless", f"still busy after {STEPS_MAX} steps")
            self.watch.at_the_end()
        except Violation as found:
            violation = found
            self.note(None, f"VIOLATION {found.invariant}: {found}")
        except Exception as error:  # noqa: BLE001 - a world has its boundary, too
            violation = Violation("crash", "".join(format_exception(error)[-3:]).strip())
            self.note(None, f"VIOLATION crash: {violation}")
        return Outcome(violation, steps, self.watch.transitions, tuple(self.timeline or ()))

    def _heal(self) -> None:
        self.note(None, "all is healed")
        self.network.heal()
        self.healed = True
        for host in self.hosts.values():
            host.power_on()
            host.thaw()
            host.held = False
            host.wish.heal()
            host.apply_configuration()
            for link in sorted(host.lost_links):
                host.lost_links.discard(link)
                host.see_links(link)
        self.watch.heal()

    def _befall(self, fault: Fault) -> None:
        """Have a fault begin, and end after its time unless all is healed before."""
        if self.timeline is not None:
            self.note(None, _told(fault))
        match fault:
            case PowerLoss():
                host = self.hosts[fault.host]
                host.power_off()
                self._later(fault.for_s, host.power_on)
            case WorkerKilled():
                self.hosts[fault.host].end_worker()
            case WorkerFrozen():
                self.hosts[fault.host].freeze(fault.for_s, whole_host=False)
            case HostPaused():
                self.hosts[fault.host].freeze(fault.for_s, whole_host=True)
            case LinkLost():
                host = self.hosts[fault.host]
                host.lost_links.add(fault.link)
                host.see_links(fault.link)
                self._later(fault.for_s, partial(self._link_returns, host, fault.link))
            case Partition():
                self.network.cut(fault.link, fault.unheard)
                self._later(fault.for_s, partial(self.network.mend, fault.link, fault.unheard))
            case Reconfigured():
                self.hosts[fault.host].reconfigure(fault)
            case Held():
                host = self.hosts[fault.host]
                host.held = True
                host.apply_configuration()
                self._later(fault.for_s, partial(self._release, host))
            case TrackerFails():
                host, what = self.hosts[fault.host], (fault.group, fault.tracker)
                host.wish.failing.add(what)
                self._surroundings_of(host)
                self._later(fault.for_s, partial(self._tracker_recovers, host, what))
            case _:
                self._befall_many(fault)
        self.watch.surroundings_changed()

    def _befall_many(self, fault: Fault) -> None:
        """What comes with a file, or over the wire."""
        match fault:
            case Removed():
                host, links = self.hosts[fault.host], self.options.groups[fault.group].links
                gone = [(fault.group, link) for link in links]
                self._configure(host, gone, remove=True)
                self._later(fault.for_s, partial(self._configure, host, gone, remove=False))
            case MemberRemoved():
                gone = [(fault.group, fault.link)]
                for host in self.hosts.values():
                    spread_s = self.random.uniform(0, self.options.interval_s)
                    self._later(spread_s, partial(self._configure, host, gone, remove=True))
                    back_s = self.options.interval_s + fault.for_s + spread_s
                    self._later(back_s, partial(self._configure, host, gone, remove=False))
            case KeysRotated():
                self._rotate(fault.step_s)
            case Replayed() | Forged():
                packet = self.network.recorded(fault.link, fault.back)
                for host in self.hosts.values() if packet is not None else ():
                    assert packet is not None
                    sent = packet
                    if isinstance(fault, Forged):
                        sent = sealing.forge(packet, self._attacker)
                    host.receive(packet.group, fault.link, sent)

    def _configure(self, host: Host, routers: list[tuple[int, int]], *, remove: bool) -> None:
        """A file is loaded that has these virtual routers no more, or again."""
        change = host.wish.absent.update if remove else host.wish.absent.difference_update
        change(routers)
        self.note(host, f"is configured {'without' if remove else 'with'} {routers}")
        host.apply_configuration()

    def _rotate(self, step_s: float) -> None:
        """One key after the other, and never two rotations at once."""
        if self._rotating:
            return
        self._rotating = True
        self._keys += 1
        new = sealing.key_number(self._keys)
        for host in self.hosts.values():
            for stage in range(3):
                at_s = (stage + self.random.uniform(0, 0.5)) * step_s
                self.after(at_s, partial(self._change_keys, host, stage, new))
        self.after(4 * step_s, self._rotated)

    def _change_keys(self, host: Host, stage: int, new: HmacKey) -> None:
        old = tuple(key for key in host.wish.keys if key != new)
        host.wish.keys = ((*old, new), (new, *old), (new,))[stage]
        self.note(host, f"has the keys {', '.join(str(key.id) for key in host.wish.keys)}")
        host.apply_configuration()

    def _rotated(self) -> None:
        self._rotating = False

    def _surroundings_of(self, host: Host) -> None:
        host.wish.weigh()
        host.apply_configuration()

    def _tracker_recovers(self, host: Host, what: tuple[int, int]) -> None:
        host.wish.failing.discard(what)
        self._surroundings_of(host)

    def _later(self, delay_s: float, undo: Callable[[], object]) -> None:
        def unless_healed() -> None:
            if not self.healed:
                undo()
                self.watch.surroundings_changed()

        self.after(delay_s, unless_healed)

    def _link_returns(self, host: Host, link: int) -> None:
        host.lost_links.discard(link)
        host.see_links(link)
        self.note(host, f"eth{link} has a carrier again")

    def _release(self, host: Host) -> None:
        host.held = False
        host.apply_configuration()


def _told(fault: Fault) -> str:
    """The fault as a line of the timeline."""
    values = {name: getattr(fault, name) for name in fault.__slots__ if name != "at_s"}
    told = ", ".join(
        f"{name} {_value(value)}" for name, value in values.items() if value is not None
    )
    return f"--- {type(fault).__name__}: {told}"


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(f"{one} by {other}" for one, other in sorted(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
