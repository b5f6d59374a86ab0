"""What operators order for the pair: a switchover, now or later; a pause of this director.

It gives `mover` the hands it needs, does what the peer asks in a switchover, and keeps what was
ordered (`agreed`). A pause is of one director: its checks go on, and nothing is written to the
kernel's table, settings or sync daemons until it ends; elections go on as ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.model import Table
from hadirector.peer import mover
from hadirector.peer.agreed import AgreedStore, Paused, Planned
from hadirector.peer.asking import Asking
from hadirector.peer.catching_up import CatchingUp
from hadirector.peer.connections import that_stand, those_held
from hadirector.peer.guide import Guide
from hadirector.peer.messages import Answer, Ask, Body, State
from hadirector.peer.mover import Outcome, PeerGoneError, switch
from hadirector.peer.teller import Teller
from hadirector.peer.warming import Warming
from hadirector.router_answers import Json
from vrrp.messages import Promote, RouterReport, ToElections

LATE_S: Final = 60.0
"""A planned switchover whose time passed longer ago is not made up for."""
PLANNED_MAX_S: Final = 7 * 86400.0
RESUME: Final = "resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is asked of the director process."""

    node: str
    look: Callable[[], Awaitable[None]]
    """Read the kernel's table again."""
    again: Callable[[str], None]
    """Ask for a turn of the table."""
    to_vrrp: Callable[[ToElections], None]
    note: Callable[[str], None]
    """Journal a sentence."""
    ours: Callable[[], State]
    theirs: Callable[[], State | None]
    peer: Callable[[], str]
    """The name of the peer; empty where no channel is configured."""
    absence: Callable[[], str]
    send: Callable[[Body], bool]
    connections: Callable[[], tuple[ConnectionSync | None, Table]]
    """How they are synchronised here, and whose they can be."""


class PairOrders:
    """The orders of one director."""

    def __init__(
        self,
        store: AgreedStore,
        around: Surroundings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.node = around.node
        self.store = store
        self.guide = Guide(store, around.to_vrrp, around.note)
        self.asking = Asking(around.send, self._serve)
        self.teller = Teller(around.ours, around.note, clock=clock, wall=wall)
        self.warming = Warming(self.ask, self.held, around.note, clock=clock)
        self.catching_up = CatchingUp(self.ask, self.held, around.note)
        self._around = around
        self._clock = clock
        self._wall = wall
        self._changed = asyncio.Event()
        self._moving = asyncio.Lock()
        self._later: asyncio.Task[Outcome] | None = None

    # From the API

    async def switchover(self, to: str, *, force: bool, at: float | None, by: str) -> Json:
        """Give the active role to a director, at once or at a Unix time; raises nothing."""
        if at is not None:
            return self._plan(to, force=force, at=at, by=by).as_json()
        # A command that goes away does not end what it began.
        return (await asyncio.shield(self._switch(to, force=force, by=by))).as_json()

    def cancel(self, by: str) -> Json:
        """Forget the switchover that is planned."""
        planned = self.store.now.planned
        if planned is None:
            return Outcome(done=False, sentence="no switchover is planned").as_json()
        self.store.hold(replace(self.store.now, planned=None))
        self._around.note(f"the planned switchover is cancelled, by {by}")
        return Outcome(done=True, sentence="the planned switchover is cancelled").as_json()

    def pause(self, by: str) -> Json:
        """Write nothing to the kernel from now on."""
        if (paused := self.store.now.paused) is not None:
            sentence = f"paused already, by {paused.by}"
            return Outcome(done=True, sentence=sentence).as_json()
        self.store.hold(replace(self.store.now, paused=Paused(since=self._wall(), by=by)))
        self._around.note(f"paused, by {by}: nothing is written to the kernel until it is resumed")
        return Outcome(
            done=True, sentence="paused: checks and elections go on, the kernel is left as it is"
        ).as_json()

    def resume(self, by: str) -> Json:
        """End a pause."""
        if self.store.now.paused is None:
            return Outcome(done=True, sentence="it is not paused").as_json()
        self.store.hold(replace(self.store.now, paused=None))
        self._around.note(f"resumed, by {by}")
        self._around.again(RESUME)
        sentence = "resumed: the kernel is made what it should be"
        return Outcome(done=True, sentence=sentence).as_json()

    @property
    def pause_sentence(self) -> str:
        """What to say of a pause; empty where there is none."""
        paused = self.store.now.paused
        if paused is None:
            return ""
        minutes = max(0.0, self._wall() - paused.since) / 60
        return (
            f"PAUSED by {paused.by} for {minutes:.0f} min: nothing is written to the kernel "
            "(hadirector resume)"
        )

    # From the room

    def changed(self) -> None:
        """Either side may be another now."""
        self._changed.set()

    def look(self, reports: Mapping[str, RouterReport]) -> None:
        """Look after what was agreed, and what is planned."""
        self.guide.look(reports, self._clock())
        planned = self.store.now.planned
        if planned is None or self._wall() < planned.at or self._later is not None:
            return
        self.store.hold(replace(self.store.now, planned=None))
        late_s = self._wall() - planned.at
        if late_s > LATE_S:
            self._around.note(f"the planned switchover is {late_s:.0f} s late, and not made up for")
            return
        by = f"{planned.by}, as planned"
        self._later = asyncio.create_task(self._switch(planned.to, force=planned.force, by=by))
        self._later.add_done_callback(self._is_made)

    def _is_made(self, task: asyncio.Task[Outcome]) -> None:
        self._later = None
        if not task.cancelled():
            self._around.note(f"the planned switchover: {task.result().sentence}")

    async def aclose(self) -> None:
        """Let nothing be under way."""
        if self._later is not None:
            self._later.cancel()
        await self.catching_up.aclose()
        await self.asking.aclose()

    async def _switch(self, to: str, *, force: bool, by: str) -> Outcome:
        if not self._around.peer():
            sentence = "no peer channel is configured: a switchover takes peer: in the file"
            return Outcome(done=False, sentence=sentence, missing=(sentence,))
        if self._moving.locked():
            sentence = "another switchover is under way"
            return Outcome(done=False, sentence=sentence, missing=(sentence,))
        async with self._moving:
            return await switch(self, to, force=force, by=by)

    def _plan(self, to: str, *, force: bool, at: float, by: str) -> Outcome:
        ahead_s = at - self._wall()
        if not 0 < ahead_s <= PLANNED_MAX_S:
            sentence = "it can be planned for a time within the next seven days"
            return Outcome(done=False, sentence=sentence, missing=(sentence,))
        if not self._around.peer():
            sentence = "no peer channel is configured: a switchover takes peer: in the file"
            return Outcome(done=False, sentence=sentence, missing=(sentence,))
        if to not in ("", self.node, self._around.peer()):
            sentence = f'no director is called "{to[:64]}"'
            return Outcome(done=False, sentence=sentence, missing=(sentence,))
        before = self.store.now.planned
        self.store.hold(replace(self.store.now, planned=Planned(at=at, to=to, force=force, by=by)))
        sentence = f"planned for {_local(at)}, in {ahead_s:.0f} s"
        if before is not None:
            sentence += f", instead of the one for {_local(before.at)}"
        who = f"to {to}" if to else "away from the one that is active then"
        self._around.note(f"switchover {who} {sentence}, by {by}")
        return Outcome(done=True, sentence=f"switchover {who} {sentence}; it is checked then")

    # Hands of `mover`

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._clock()

    def states(self) -> dict[str, State]:
        """Both directors as they are now; raises PeerGoneError."""
        theirs = self._around.theirs()
        if theirs is None:
            raise PeerGoneError(self._around.absence())
        return {self.node: self._around.ours(), self._around.peer(): theirs}

    async def until(self, true: Callable[[], bool], bound_s: float) -> bool:
        """Wait until something is true of the states; False: not within the bound."""
        try:
            async with asyncio.timeout(bound_s):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def held(self, connections: Collection[str]) -> int:
        """How many of these connections our kernel holds."""
        return len(await those_held(connections))

    async def is_warm(self, percent: float) -> bool:
        """Whether our kernel holds so many percent of what stands on the peer."""
        ours, theirs = self._around.ours(), self._around.theirs()
        return await self.warming.is_warm(ours, theirs, percent)

    async def look_again(self) -> None:
        """Read our own table again."""
        await self._around.look()

    async def ask(
        self, verb: str, *, text: str = "", routers: Mapping[str, int] | None = None, bound_s: float
    ) -> Answer:
        """Ask the peer; raises PeerGoneError."""
        return await self.asking.ask(verb, text=text, routers=routers, bound_s=bound_s)

    def take_back(self, routers: Iterable[str]) -> None:
        """End what caps our own priority."""
        self.guide.take_back(routers)

    def promote(self, routers: Iterable[str], reason: str) -> None:
        """Have the VRRP worker become active."""
        self._around.to_vrrp(Promote(routers=tuple(routers), reason=reason))

    def note(self, sentence: str) -> None:
        """Journal a sentence."""
        self._around.note(sentence)

    # What the peer asks

    async def _serve(self, question: Ask) -> Answer:
        number, around = question.number, self._around
        match question.verb:
            case mover.LOOK:
                await around.look()
                around.send(around.ours())  # before the answer, so that it is known by then
                return Answer(number=number, done=True, sentence="looked")
            case mover.FLUSH:
                stand = await that_stand() if around.ours().sync.duty else []
                told = "sent what was gathered"
                return Answer(number=number, done=True, sentence=told, notes=tuple(stand))
            case mover.TELL:
                sync, table = around.connections()
                return await self.teller.serve(number, around.peer(), sync, table)
            case mover.YIELD:
                self.guide.give_way(question.routers, question.text[:200], self._clock())
                return Answer(number=number, done=True, sentence="yields")
            case mover.KEEP:
                self.guide.take_back(question.routers)
                return Answer(number=number, done=True, sentence="takes part as ever")
            case mover.SWITCHOVER | mover.FORCED:
                by = f"{question.text[:80]} on {around.peer()}"
                forced = question.verb == mover.FORCED
                outcome = await self._switch(self.node, force=forced, by=by)
                return Answer(
                    number=number,
                    done=outcome.done,
                    sentence=outcome.sentence,
                    notes=outcome.missing,
                    facts=dict(outcome.phases),
                )
        return Answer(number=number, done=False, sentence=f"it cannot {question.verb[:40]}")


def _local(at: float) -> str:
    """A Unix time as this host's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
