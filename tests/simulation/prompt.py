"""Timers of a worker that are looked at after each of its steps: finite, and short enough.

timer    who takes part waits for something, and not for longer than a silence lasts
tardy    an active router says by its next advertisement what has changed: at once where it
         is the priority (who yields shall yield now), else within the new interval
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from tests.simulation.violation import Violation
from vrrp.events import State
from vrrp.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.host import Host

SLACK_S = 1e-5


def check_timer(host: Host, group: int, wait_max_s: float, name: str) -> None:
    """Raise Violation if a group waits for nothing, or for too long (seconds of its clock)."""
    deadline = host.armed(group)
    if deadline is None:
        if host.can_take_part(group):
            raise Violation("timer", f"{host.name} waits for nothing ({name})")
        return
    wait_s = deadline - host.clock()
    if not isfinite(wait_s) or wait_s > wait_max_s + SLACK_S:
        raise Violation("timer", f"{host.name} waits {wait_s} s ({name})")


def check_reconfigured(host: Host, machine: Machine, priority_before: int) -> None:
    """Raise Violation if an active router keeps its new configuration to itself."""
    if machine.state is not State.ACTIVE:
        return
    settings, deadline = machine.settings, machine.next_deadline()
    at_once = settings.priority != priority_before
    bound_s = 0.0 if at_once else settings.advertise
    if deadline is None or deadline - host.clock() > bound_s + SLACK_S:
        what = f"priority {settings.priority}" if at_once else f"interval {settings.advertise} s"
        raise Violation("tardy", f"{host.name} does not tell of its {what} ({settings.name})")
