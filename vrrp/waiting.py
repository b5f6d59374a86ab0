"""What a virtual router waits for while it is not active, and why it changed its state: sentences.

Operators ask after every failover why it happened. The answer is not in the event that ended the
wait (a timer ran out) but in what began it: the last advertisement that was heard, a goodbye, the
start of the program, a weaker router that is left in office no longer.

This module never changes the outcome of an election.
"""

from __future__ import annotations

from vrrp.config import RouterSettings
from vrrp.events import Event, Heard, Tick, Up, format_duration
from vrrp.packet import IPAddress
from vrrp.transitions import Trigger

_BEGINNINGS = (Trigger.START, Trigger.FOLLOW, Trigger.LATE, Trigger.LEAVING)


class Waiting:
    """Why one virtual router waits and since when; the reason when the wait ends in a takeover."""

    def __init__(self) -> None:
        self._for: str | IPAddress = "started"  # an address: for whom we listen
        self._since = 0.0
        self._outbid: Heard | None = None  # the weaker active router we are about to replace

    def note(self, trigger: Trigger, reason: str, now: float, *, backup: bool) -> None:
        """Take in a transition that may begin a wait; `backup`: it was one before."""
        if trigger in _BEGINNINGS or (trigger is Trigger.PEER_LEAVING and backup):
            self._for, self._since = reason, now

    def outbid(self, heard: Heard | None) -> None:
        """Note the weaker active router that is about to be replaced; None: nobody."""
        self._outbid = heard

    def heard(self, heard: Heard, now: float) -> None:
        """Note that the active router spoke: its silence is what is waited for."""
        self._for, self._since = heard.source, now

    def explain(self, trigger: Trigger, event: Event, settings: RouterSettings, now: float) -> str:
        """Say for people why a transition happens."""
        match event:
            case Heard(advertisement, source):
                heard = f"heard priority {advertisement.priority} from {source}"
                if trigger is Trigger.SUPERIOR and advertisement.priority == settings.priority:
                    return f"{heard}, equal to ours, and its address is higher"
                if trigger is Trigger.SUPERIOR:
                    return f"{heard}; ours is {settings.priority}"
                return heard
            case Up() if trigger is Trigger.START_AS_OWNER:
                return "priority 255: this router owns the addresses"
            case Up():
                return f"{settings.interface} can be used"
            case Tick() if self._outbid is not None:
                theirs, ours = self._outbid.advertisement.priority, settings.priority
                return f"priority {theirs} of {self._outbid.source} is lower than our {ours}"
            case Tick():
                waited = format_duration(now - self._since)
                if isinstance(self._for, str):
                    return f"{self._for}; no other router for {waited}"
                return f"no advertisement from {self._for} for {waited}"
            case _:
                return event.sentence
