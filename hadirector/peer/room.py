"""The peer in the director process: the channel, what is told and heard, and what follows.

It wires parts together: `channel` (sockets), `report` (what is told), `standing` and `compare`
(what is known of the peer), the journal and `status`. Whatever the peer says or fails to say, a
role changes only by the elections of VRRP; what goes there from here is advice, and ends by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hadirector import limits
from hadirector.answers import Present
from hadirector.config.model import Config
from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.model import Table
from hadirector.journal import Journal
from hadirector.peer import compare
from hadirector.peer.agreed import AgreedStore, as_json
from hadirector.peer.channel import Ear, PeerChannel
from hadirector.peer.link import Cause
from hadirector.peer.messages import Answer, Ask, Body, Hello, State
from hadirector.peer.orders import PairOrders, Surroundings
from hadirector.peer.report import Counted, connections_in, health_of, state_of
from hadirector.peer.settings import PeerSettings
from hadirector.peer.standing import Standing
from hadirector.peer.told import told
from hadirector.peer.watch import PeerWatch
from hadirector.router_answers import Json
from vrrp.messages import ToElections

PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the room asks of the director process."""

    runtime_dir: Path
    look: Callable[[], Awaitable[None]]
    """Read the kernel's table again."""
    again: Callable[[str], None]
    """Ask for a turn of the table."""
    to_vrrp: Callable[[ToElections], None]
    gather: Callable[[], None]
    """Have in `present` what is known on this side."""


class PeerRoom:
    """What one director has to do with the other. Does nothing where no channel is configured."""

    def __init__(
        self,
        present: Present,
        journal: Journal,
        reach: Reach,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._present = present
        self._gather = reach.gather
        self._journal = journal
        self._clock = clock
        self._wall = wall
        self._settings: PeerSettings | None = present.config.peer
        self._standing: Standing | None = None
        self._watch: PeerWatch | None = None
        self._channel: PeerChannel | None = None
        self._replaced = asyncio.Event()
        self._news = asyncio.Event()
        self._counted = Counted()
        self._stale = True
        self.store = AgreedStore(reach.runtime_dir)
        self.orders = PairOrders(
            self.store,
            Surroundings(
                node=present.node,
                look=reach.look,
                again=reach.again,
                to_vrrp=reach.to_vrrp,
                note=self._note,
                ours=self.ours,
                theirs=lambda: self.theirs,
                peer=lambda: self._standing.peer if self._standing else "",
                absence=self._absence,
                send=lambda body: self._channel is not None and self._channel.send(body),
                connections=self._connections,
            ),
            clock=clock,
            wall=wall,
        )

    @property
    def trouble(self) -> dict[str, str]:
        """What is wrong with the channel or the pair, by subject."""
        standing, theirs = self._standing, self.theirs
        found = {"pause": self.orders.pause_sentence, "agreed": self.store.trouble or ""}
        if standing is None or self._watch is None:
            return {about: sentence for about, sentence in found.items() if sentence}
        now = self._clock()
        found |= {
            "peer": standing.absence(now),
            "peer-flaps": standing.flapping(now),
            "peer-file": ""
            if theirs is None
            else compare.file_sentence(self.ours(), theirs, standing.peer),
            **self._watch.trouble,
        }
        return {about: sentence for about, sentence in found.items() if sentence}

    @property
    def theirs(self) -> State | None:
        """What the peer said last; None while it is not heard."""
        return None if self._standing is None else self._standing.state

    def ours(self) -> State:
        """What the peer is told."""
        present = self._present
        self._gather()
        if self._stale:  # not for every word of VRRP: there may be thousands of servers
            self._stale = False
            self._counted = Counted(health_of(present), connections_in(present.actual))
        paused = self.store.now.paused is not None
        return state_of(present, paused=paused, counted=self._counted)

    def told(self) -> Json | None:
        """The peer, for `status`; None where no channel is configured."""
        settings, standing, watch = self._settings, self._standing, self._watch
        if settings is None or standing is None or watch is None:
            return None
        ours = self.ours()
        disagreements = watch.disagreements.told.values()
        told_of: Json = {
            "told": self.orders.teller.last,
            "learned": self.orders.catching_up.sentence or self.orders.warming.sentence or None,
        }
        facts = told(
            settings, self._present.node, standing, disagreements, ours, connections=told_of
        )
        return {**facts, "planned": as_json(self.store.now)["planned"]}

    def _connections(self) -> tuple[ConnectionSync | None, Table]:
        present = self._present
        sync = present.config.connection_sync
        return None if sync is None else sync.on(present.node), present.actual

    def news(self) -> None:
        """Something that the peer is told of may have changed: a role, say."""
        self._news.set()
        self.orders.changed()

    def decided(self) -> None:
        """The pools, or what is known of the table, may have changed."""
        self._stale = True
        self.news()

    def adopt(self, config: Config) -> None:
        """Go by another configuration from now on."""
        if config.peer != self._settings:
            self._settings = config.peer
            self._replaced.set()
        self._news.set()

    async def run(self) -> None:
        """Keep the channel, as configured, until cancelled."""
        try:
            await self._keep()
        finally:
            await self.orders.aclose()

    async def _keep(self) -> None:
        replaced = False
        while True:
            self._replaced.clear()
            settings = self._settings
            tasks: list[asyncio.Task[object]] = [
                asyncio.create_task(self._replaced.wait(), name="replaced")
            ]
            if settings is not None:
                tasks += self._begin(settings)
            elif replaced:
                self.orders.guide.clear()
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        task.result()  # raises: they end only by an error of ours
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.orders.asking.lost("the peer channel is configured otherwise now")
                self._channel = self._standing = self._watch = None
            replaced = True

    def _begin(self, settings: PeerSettings) -> list[asyncio.Task[object]]:
        node = self._present.node
        peer = settings.peer_of(node)
        self._standing = Standing(peer, self._clock())
        config, guide = self._present.config, self.orders.guide
        self._watch = PeerWatch(settings, node, config, guide, self._note)
        ear = Ear(met=self._met, heard=self._heard, ended=self._ended)
        self._channel = channel = PeerChannel(settings, node, ear)
        return [
            asyncio.create_task(channel.run(), name="peer-channel"),
            asyncio.create_task(self._tell(channel), name="peer-state"),
        ]

    async def _tell(self, channel: PeerChannel) -> None:
        """Tell the peer how we are: at once when that changed, and every second."""
        while True:
            self._news.clear()
            self._look()
            channel.send(self.ours())
            await asyncio.sleep(limits.PEER_STATE_SPACING_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.PEER_STATE_EVERY_S):
                    await self._news.wait()

    def _look(self) -> None:
        """Compare both sides; what follows goes to the elections, as advice."""
        assert self._watch is not None
        ours, theirs, now = self.ours(), self.theirs, self._clock()
        self._watch.look(ours, theirs, now)
        settings = self._settings  # None: just taken out of the file
        if settings is not None and self._present.warming_s is None:
            self.orders.catching_up.look(ours, theirs, settings.warm_table, now)
        self.orders.look(self._present.routers)

    async def is_warm(self) -> bool:
        """Whether our kernel holds what the peer's does, as far as that is asked for."""
        settings = self._settings
        if settings is None:
            return False
        return await self.orders.is_warm(settings.warm_table)

    # What the channel tells

    def _met(self, hello: Hello) -> None:
        assert self._standing is not None
        self._note(self._standing.met(hello, self._clock(), self._wall()))
        self._news.set()

    def _heard(self, body: Body) -> None:
        assert self._standing is not None
        if isinstance(body, State):
            before = self._standing.state
            self._standing.heard(body)
            self._compare_files(before, body)
            if before is None or before.routers != body.routers:
                self._news.set()  # what follows from a role is not to wait for the next moment
            self.orders.changed()
        elif isinstance(body, Ask | Answer):
            self.orders.asking.heard(body)

    def _compare_files(self, before: State | None, theirs: State) -> None:
        """Journal when the two begin to differ, or are one again."""
        assert self._standing is not None
        if before is not None and before.digest == theirs.digest:
            return
        differs = compare.file_sentence(self.ours(), theirs, self._standing.peer)
        self._note(differs or f"{self._standing.peer} runs the same configuration")

    def _ended(self, cause: Cause, sentence: str, met: bool) -> None:
        assert self._standing is not None
        now, wall = self._clock(), self._wall()
        if met:
            self.orders.asking.lost(f"{self._standing.peer} is gone: {sentence}")
            self.orders.changed()
        self._note(self._standing.ended(cause, sentence, met=met, now=now, wall=wall))
        if met:
            self._look()  # however soon it is back: what it said before holds no more

    def _absence(self) -> str:
        """Why the peer is not heard."""
        if self._standing is None:
            return "no peer channel is configured"
        absence = self._standing.absence(self._clock())
        return absence or f"{self._standing.peer} has not been heard yet on the peer channel"

    def _note(self, sentence: str) -> None:
        if sentence:
            self._journal.add(PEER, sentence)
