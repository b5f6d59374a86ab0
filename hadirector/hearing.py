"""What the supervisor and the VRRP worker tell a director process about themselves: it is noted.

Reports replace each other; events go into the journal. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hadirector.journal import Journal
from vrrp import messages as vrrp_messages


class Heard(Protocol):
    """Where it is noted."""

    routers: dict[str, vrrp_messages.RouterReport]
    timing: vrrp_messages.Timing | None
    processes: Mapping[str, Mapping[str, float | int | None]]
    trouble: dict[str, str]

    @property
    def router_names(self) -> frozenset[str]:
        """The virtual routers of the file."""


def hear_processes(present: Heard, table: Mapping[str, Mapping[str, float | int | None]]) -> None:
    """Note who runs."""
    present.processes = table
    if table.get("vrrp", {}).get("pid") is None:
        # Its last reports are history: whatever it held, it holds no more.
        present.trouble["vrrp"] = "the VRRP worker is down: this node takes no part"
        present.routers.clear()
        present.timing = None
    else:
        present.trouble.pop("vrrp", None)


def hear_vrrp(present: Heard, journal: Journal, text: str) -> None:
    """Note what the VRRP worker said."""
    try:
        message = vrrp_messages.decode(text.encode())
    except vrrp_messages.MessageError as error:
        journal.add("process", f"the VRRP worker said something unknown: {error}")
        return
    if isinstance(message, vrrp_messages.RouterReport):
        # A virtual router taken out of the file may have a last word: it is not kept.
        if message.name in present.router_names:
            present.routers[message.name] = message
    elif isinstance(message, vrrp_messages.Timing):
        present.timing = message
    elif isinstance(message, vrrp_messages.Event):
        journal.add(message.kind, message.sentence, subject=message.router)
