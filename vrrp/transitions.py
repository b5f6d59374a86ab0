"""All transitions of a virtual router, as data (RFC 9568 sections 6.4.1 to 6.4.3).

A state and what an event means in it (the trigger) lead to the next state and to actions, done in
the order they are written. What is not in the table is not possible. The machine turns events into
triggers and actions into effects; where something is to be looked up, it is here.
"""

from __future__ import annotations

from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from vrrp.events import State


class Trigger(Enum):
    """What an event means to a machine in its present state."""

    START = auto()
    START_AS_OWNER = auto()
    SILENCE = auto()  # the active-down time has passed
    ADVERTISE = auto()  # the interval has passed
    LEAVING = auto()  # priority 0
    SUPERIOR = auto()  # an advertisement that this router accepts as the active one's
    INFERIOR = auto()  # one that it does not accept
    PEER_LEAVING = auto()  # priority 0, heard by another member of the group
    PEER_INFERIOR = auto()  # an inferior one, heard by another member of the group
    PEER_YIELDED = auto()  # one that was active as well, unheard, has stepped back
    LEAD = auto()
    FOLLOW = auto()
    LATE = auto()
    FAULT = auto()
    STOP = auto()


class Action(Enum):
    """What is done on a transition."""

    ADVERTISE = auto()  # send, and arm the timer for the next one
    TAKE = auto()
    RELEASE = auto()
    ANNOUNCE = auto()  # now, and once more after the time configured
    REANNOUNCE = auto()  # now, unless just done
    RESIGN = auto()  # send priority 0
    HAND_OVER = auto()
    LEARN = auto()  # adopt the interval of the active router just heard
    WAIT_SILENCE = auto()  # arm the timer with the active-down time
    WAIT_SKEW = auto()  # arm it with the skew, if that is sooner
    REST = auto()  # no timer


_BECOME_ACTIVE = (Action.ADVERTISE, Action.TAKE, Action.ANNOUNCE)
_STEP_BACK = (Action.RELEASE, Action.WAIT_SILENCE)

TRANSITIONS: Final = MappingProxyType(
    {
        (State.INIT, Trigger.START): (State.BACKUP, _STEP_BACK),
        (State.INIT, Trigger.START_AS_OWNER): (State.ACTIVE, _BECOME_ACTIVE),
        (State.INIT, Trigger.FAULT): (State.FAULT, (Action.RELEASE,)),
        (State.INIT, Trigger.STOP): (State.INIT, ()),
        (State.FAULT, Trigger.START): (State.BACKUP, _STEP_BACK),
        (State.FAULT, Trigger.START_AS_OWNER): (State.ACTIVE, _BECOME_ACTIVE),
        (State.FAULT, Trigger.FAULT): (State.FAULT, ()),
        (State.FAULT, Trigger.STOP): (State.INIT, ()),
        (State.BACKUP, Trigger.SILENCE): (State.ACTIVE, _BECOME_ACTIVE),
        (State.BACKUP, Trigger.LEAD): (State.ACTIVE, _BECOME_ACTIVE),
        (State.BACKUP, Trigger.LEAVING): (State.BACKUP, (Action.WAIT_SKEW,)),
        (State.BACKUP, Trigger.PEER_LEAVING): (State.BACKUP, (Action.WAIT_SKEW,)),
        (State.BACKUP, Trigger.SUPERIOR): (State.BACKUP, (Action.LEARN, Action.WAIT_SILENCE)),
        (State.BACKUP, Trigger.INFERIOR): (State.BACKUP, ()),
        (State.BACKUP, Trigger.FAULT): (State.FAULT, (Action.REST, Action.RELEASE)),
        (State.BACKUP, Trigger.STOP): (State.INIT, (Action.REST,)),
        (State.ACTIVE, Trigger.ADVERTISE): (State.ACTIVE, (Action.ADVERTISE,)),
        (State.ACTIVE, Trigger.LEAVING): (State.ACTIVE, (Action.ADVERTISE,)),
        (State.ACTIVE, Trigger.PEER_LEAVING): (State.ACTIVE, ()),
        # Not in the RFC: a last advertisement tells the better router that there were two, should
        # it not have heard us yet, so that it announces its addresses to our neighbors.
        (State.ACTIVE, Trigger.SUPERIOR): (
            State.BACKUP,
            (Action.ADVERTISE, Action.LEARN, *_STEP_BACK),
        ),
        (State.ACTIVE, Trigger.INFERIOR): (State.ACTIVE, (Action.ADVERTISE, Action.REANNOUNCE)),
        (State.ACTIVE, Trigger.PEER_INFERIOR): (State.ACTIVE, (Action.REANNOUNCE,)),
        (State.ACTIVE, Trigger.PEER_YIELDED): (State.ACTIVE, (Action.REANNOUNCE,)),
        (State.ACTIVE, Trigger.FOLLOW): (State.BACKUP, _STEP_BACK),
        (State.ACTIVE, Trigger.LATE): (State.BACKUP, _STEP_BACK),
        (State.ACTIVE, Trigger.FAULT): (
            State.FAULT,
            (Action.RESIGN, Action.REST, Action.RELEASE),
        ),
        (State.ACTIVE, Trigger.STOP): (State.INIT, (Action.REST, Action.HAND_OVER)),
    }
)
