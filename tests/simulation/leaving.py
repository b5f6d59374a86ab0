"""How a director of a simulated world leaves addresses in good order: the last will.

A handful of rules taken from `vrrp.will`: goodbye is said, the addresses stay until a peer is heard
or the linger has passed. The supervisor does it for a worker that has ended, and a worker itself
for what a reload took out of its configuration; frozen, it does it late.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.simulation.network import over_the_wire
from tests.simulation.sealing import Keeper, Packet
from vrrp.config import RouterSettings
from vrrp.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.host import Host

GRACE_S: Final = 0.2  # as in vrrp.will


@dataclass(slots=True, eq=False)
class Will:
    """The leave of one virtual router in progress."""

    group: int
    link: int
    settings: RouterSettings
    linger_s: float
    peer_heard: bool = False
    overdue: bool = False
    """It would be over, but who executes it is frozen."""


class Leaving:
    """All that one host is leaving."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.wills: list[Will] = []

    def has(self, group: int, link: int) -> bool:
        """Whether this virtual router is being left."""
        return any((will.group, will.link) == (group, link) for will in self.wills)

    def begin(self, group: int, link: int, machine: Machine) -> None:
        """Say goodbye, and leave the address for a while."""
        linger_s = machine.skew_s + machine.settings.advertise
        will = Will(group, link, machine.settings, linger_s)
        self.wills.append(will)
        goodbye = over_the_wire(machine.goodbye(), machine.source, machine.form)
        self._host.transmit(group, link, goodbye, machine.settings, by_worker=False)
        self._end_after(linger_s, will)

    def begin_again(self) -> None:
        """The supervisor takes on what the worker was leaving when it ended."""
        for will in self.wills:
            self._end_after(will.linger_s, will)

    def hear(self, group: int, link: int, packet: Packet) -> None:
        """A peer that advertises has taken over, if it is one."""
        heard, host = packet.heard, self._host
        if heard.advertisement.priority == 0:
            return
        for will in self.wills:
            if (will.group, will.link) != (group, link) or will.peer_heard:
                continue
            offset_s = host.options.wall_offset_s
            if packet.datagram is not None and not Keeper().accept(
                packet, will.settings, host.world.now, offset_s
            ):
                continue
            will.peer_heard = True
            self._end_after(min(GRACE_S, heard.advertisement.interval_cs / 100), will)

    def thaw(self) -> None:
        """Who executes it goes on."""
        for will in [will for will in self.wills if will.overdue]:
            self._end(will, self._host.life)

    def _end_after(self, delay_s: float, will: Will) -> None:
        self._host.world.after(delay_s, partial(self._end, will, self._host.life))

    def _end(self, will: Will, life: int) -> None:
        if life != self._host.life or will not in self.wills:
            return
        if self._host.frozen:
            will.overdue = True
            return
        self.wills.remove(will)
        self._host.left(will.group, will.link)
