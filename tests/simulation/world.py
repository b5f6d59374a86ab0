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
from typing import Final

from tests.simulation.host import Host
from tests.simulation.network import Network
from tests.simulation.options import Options
from tests.simulation.story import (
    Fault,
    Held,
    HostPaused,
    LinkLost,
    Partition,
    PowerLoss,
    Reconfigured,
    WorkerFrozen,
    WorkerKilled,
)
from tests.simulation.watch import Violation, Watch

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
        return Outcome(violation, steps, self.watch.transitions, tuple(self.timeline or ()))

    def _heal(self) -> None:
        self.note(None, "all is healed")
        self.network.heal()
        self.healed = True
        for host in self.hosts.values():
            host.power_on()
            host.thaw()
            host.held = False
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
        self.watch.surroundings_changed()

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
