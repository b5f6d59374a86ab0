"""What a director does for what it knows of the other one: three policies with bounds. Pure.

None of them makes anybody active. They lower a priority, keep a director from being active where
the other one certainly is, or let it preempt sooner; VRRP decides. Each ends by itself, and all of
them end with the channel: who has known nothing of the peer for a while takes part as its file
says.

* *Warm table*: a director that comes back listens before it takes over; it need not wait longer
  once its kernel holds what the peer's holds. A backup that holds too little asks to be told.
* *Split brain*: both say over the channel that they are active. Their advertisements do not get
  through then, and nothing else would end it: the lower one yields.
* *Health*: the director that reaches fewer servers yields, if that lasts, and not too often.

Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Final

from hadirector.ipvs.model import Address
from hadirector.peer.compare import same_file
from hadirector.peer.messages import RouterState, State

ACTIVE: Final = "active"
BACKUP: Final = "backup"
SPLIT_S: Final = 4.0
"""That long, both must be active: elections end by themselves within three advertisements of 1 s,
and what the peer says of itself is a second old. Longer than a channel may hang (`link.SILENCE_S`),
so that nobody yields to what the peer said before."""
LOST_S: Final = 5.0
"""That long, who has yielded keeps to it without the channel: one that comes and goes, or a peer
that is restarted, is to move no role. One that is gone for good is missed for so much longer."""
SHARED_S: Final = 1.5
"""That long at least: what the peer says of itself is up to a second old."""
FEWER_S: Final = 10.0
"""That long, we must reach fewer servers than the peer before we yield,"""
ENOUGH_S: Final = 30.0
"""and that long no fewer before we take part with our own priority again."""
HOUR_S: Final = 3600.0
THIN_S: Final = 20.0
"""That long, our kernel must hold too few of the peer's connections: both counts are up to one
audit old, and what is new is told of within 3 s.
"""
THIN_AGAIN_S: Final = 60.0
"""Between asking and asking again; doubled each time, up to an hour. Where connections live for a
second, one kernel always counts fewer, and nothing that is told changes that."""


def may_be_warm(ours: State, theirs: State | None) -> bool:
    """Whether our kernel can have heard of the peer's connections: else nobody need be asked."""
    return (
        theirs is not None
        and same_file(ours, theirs)
        and ACTIVE in theirs.sync.daemons
        and BACKUP in ours.sync.daemons
    )


def is_warm(held: int, of: int, percent: float) -> bool:
    """Whether our kernel holds that share of a sample of connections that stand on the peer."""
    return held >= of * percent / 100


class Thin:
    """Whether a director that receives is to ask for all connections, since it has too few."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._not_before = -math.inf
        self._again_s = THIN_AGAIN_S

    def look(self, ours: State, theirs: State | None, percent: float, now: float) -> bool:
        """Take in both; True: ask now. `percent`: so many of the peer's are enough."""
        receives = may_be_warm(ours, theirs) and ACTIVE not in ours.sync.daemons
        if theirs is None or not receives or not ours.ready or ours.paused:
            self._since = None
            return False
        held, of = ours.sync.connections, theirs.sync.connections
        if held < 0 or is_warm(held, of, percent):
            self._since, self._again_s = None, THIN_AGAIN_S
            return False
        if self._since is None:
            self._since = now
        if now - self._since < THIN_S or now < self._not_before:
            return False
        self._not_before = now + self._again_s
        self._again_s = min(2 * self._again_s, HOUR_S)
        return True


class Arbiter:
    """Split brain, as one director sees it."""

    def __init__(self, node: str, peer: str, addresses: Mapping[str, Address]) -> None:
        """`addresses`: those that the directors advertise from; they tell equals apart."""
        self._node = node
        self._peer = peer
        self._ours_is_higher = _key(addresses[node]) > _key(addresses[peer])
        self._since: dict[str, float] = {}
        self._barred: dict[str, str] = {}
        self._known_at = -math.inf

    def look(self, ours: State, theirs: State | None, now: float) -> dict[str, str]:
        """The virtual routers that may not be active here, with a sentence each."""
        if theirs is None:
            self._since = {}
            is_lost = now - self._known_at >= LOST_S
            for name in list(self._barred):
                if is_lost or name not in ours.routers or ours.routers[name].hears:
                    del self._barred[name]
            return dict(self._barred)
        self._known_at = now
        both = {
            name: (mine, theirs.routers[name])
            for name, mine in ours.routers.items()
            if name in theirs.routers and theirs.routers[name].state == ACTIVE
        }
        self._since = {
            name: self._since.get(name, now)
            for name, (mine, _) in both.items()
            if mine.state == ACTIVE
        }
        for name in list(self._barred):
            # It is not active any more; or it is heard again, and the election does the rest.
            if name not in both or both[name][0].hears:
                del self._barred[name]
        for name, since in self._since.items():
            if now - since >= SPLIT_S and self._is_lower(*both[name]):
                self._barred[name] = self._sentence(*both[name])
        return dict(self._barred)

    def splits(self, now: float) -> list[str]:
        """The virtual routers for which both have been active for so long."""
        return [name for name, since in self._since.items() if now - since >= SPLIT_S]

    def _is_lower(self, mine: RouterState, other: RouterState) -> bool:
        if mine.priority == other.priority:
            return not self._ours_is_higher
        return mine.priority < other.priority

    def _sentence(self, mine: RouterState, other: RouterState) -> str:
        return (
            f"split brain: {self._peer} is active as well, with priority {other.priority} (here "
            f"{mine.priority}), and no advertisement of it arrives: look at VRRP between the two"
        )


class Survivor:
    """Who is active alone after both were: the neighbors may have learnt the other one's address.

    Shorter than SHARED_S is a handover, of which the elections know by themselves.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def look(self, ours: State, theirs: State | None, now: float) -> list[str]:
        """The virtual routers that the other one has just given up, and that are active here."""
        if theirs is None:
            return []  # what it was is still so as far as we know
        active = [name for name, mine in ours.routers.items() if mine.state == ACTIVE]
        shared = {
            name
            for name, one in theirs.routers.items()
            if one.state == ACTIVE or (one.holds and name in self._since)
        }
        alone = [
            name
            for name in active
            if name not in shared and now - self._since.get(name, now) >= SHARED_S
        ]
        self._since = {name: self._since.get(name, now) for name in active if name in shared}
        return alone


def _key(address: Address) -> tuple[int, int]:
    return address.version, int(address)


class HealthYield:
    """Whether this director yields since the other one reaches more servers."""

    def __init__(self, node: str, peer: str, moves_max: int) -> None:
        """`moves_max`: how often it may begin to yield in any hour."""
        self._node = node
        self._peer = peer
        self._moves_max = moves_max
        self._moves: deque[float] = deque(maxlen=max(1, moves_max))
        self._fewer_since: float | None = None
        self._enough_since: float | None = None
        self._known_at = -math.inf
        self.caps: dict[str, int] = {}
        """By virtual router, the most that our priority may be; empty: it does not yield."""
        self.because = ""

    def look(self, ours: State, theirs: State | None, now: float) -> None:
        """Take in both as they are now."""
        if theirs is None:
            self._fewer_since = self._enough_since = None
            if now - self._known_at >= LOST_S:
                self.caps, self.because = {}, ""
            return
        self._known_at = now
        comparable = (
            same_file(ours, theirs)
            and ours.ready
            and theirs.ready
            and not (ours.paused or theirs.paused)
        )
        fewer = comparable and ours.health.up < theirs.health.up
        fewer_since, enough_since = self._fewer_since, self._enough_since
        self._fewer_since = (now if fewer_since is None else fewer_since) if fewer else None
        self._enough_since = None if fewer else (now if enough_since is None else enough_since)
        if self.caps:
            if self._enough_since is not None and now - self._enough_since >= ENOUGH_S:
                self.caps, self.because = {}, ""
        elif self._fewer_since is not None and now - self._fewer_since >= FEWER_S:
            self._yield(ours, theirs, now)

    def _yield(self, ours: State, theirs: State, now: float) -> None:
        if not self._may_move(now):
            return
        # Worked out once: two that answered each other's caps would go down together.
        self.caps = {
            name: max(1, theirs.routers[name].priority - 1)
            for name in ours.routers
            if name in theirs.routers and theirs.routers[name].state in (ACTIVE, BACKUP)
        }
        if self.caps:
            self._moves.append(now)
            self.because = (
                f"{self._node} reaches {ours.health.up} servers, {self._peer} {theirs.health.up}"
            )

    def _may_move(self, now: float) -> bool:
        if self._moves_max == 0:
            return False
        return len(self._moves) < self._moves_max or now - self._moves[0] > HOUR_S
