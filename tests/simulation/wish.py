"""What a director of a simulated world is configured to be, and what its surroundings make of it.

The file that it would read, and the things its priorities depend on; a worker that runs may not
know of the latest change yet, one that is frozen certainly does not.
"""

from __future__ import annotations

from dataclasses import replace

from tests.simulation import sealing
from tests.simulation.options import HostOptions, Membership, Options
from tests.simulation.story import Reconfigured
from tests.simulation.weights import sum_up
from vrrp.config import RouterSettings
from vrrp.keys import HmacKey


class Wish:
    """The configuration of one host."""

    def __init__(self, world: Options, host: HostOptions) -> None:
        self._world = world
        self._host = host
        self._configured: list[Membership] = list(host.memberships)
        self.memberships: list[Membership] = list(host.memberships)
        """As they should be now, the trackers counted; from `weigh` on."""
        self.failing: set[tuple[int, int]] = set()
        """(group, tracker)"""
        self.absent: set[tuple[int, int]] = set()
        """(group, link) that the file does not have at present."""
        self.keys: tuple[HmacKey, ...] = (sealing.FIRST,)

    def links(self, group: int) -> tuple[int, ...]:
        """Where the file has virtual routers of a group."""
        links = self._world.groups[group].links
        return tuple(link for link in links if (group, link) not in self.absent)

    def faulty(self, group: int) -> str | None:
        """Which tracker keeps the group from taking part."""
        trackers = self._world.groups[group].trackers
        failing = [trackers[number] for of, number in sorted(self.failing) if of == group]
        return next((one.name for one in failing if one.weight is None), None)

    def weigh(self) -> None:
        """Add the trackers to the priorities, as they are configured and as they fail."""
        self.memberships = []
        for number, options in enumerate(self._world.groups):
            failing = {tracker for of, tracker in self.failing if of == number}
            found = sum_up(self._configured[number].priority, options.trackers, failing)
            self.memberships.append(replace(self._configured[number], priority=found.priority))

    def heal(self) -> None:
        """Nothing fails any more, and nothing is left out."""
        self.failing.clear()
        self.absent.clear()
        self.weigh()

    def change(self, fault: Reconfigured) -> None:
        """Another configuration of one group."""
        wish = self._configured[fault.group]
        if fault.priority is not None:
            wish = replace(wish, priority=fault.priority)
        if fault.interval_s is not None:
            wish = replace(wish, interval_s=fault.interval_s)
        if fault.preempt is not None:
            delay_s = wish.preempt_delay_s if fault.preempt else 0.0
            wish = replace(wish, preempt=fault.preempt, preempt_delay_s=delay_s)
        self._configured[fault.group] = wish
        self.weigh()

    def settings(self, group: int) -> dict[int, RouterSettings]:
        """What the file has of a group, by link."""
        made = self._world.settings(self._host, group, self.memberships[group], self.keys)
        by_link = dict(zip(self._world.groups[group].links, made, strict=True))
        return {link: by_link[link] for link in self.links(group)}
