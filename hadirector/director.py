"""The director process: checks, pools, planning, the kernel's table, the journal and the local
API.

It wires the parts together and decides nothing itself. Results of checks become transitions, these
become pools, and pools become a table (`reconciler`); everything that happens is journaled. One
task owns the table; the others ask it for a turn and say why.

It hears its configuration from the supervisor and lives as long as the channel to it. When it
ends, for whatever reason, it leaves the table in place: the kernel goes on forwarding.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from hadirector import declared, limits, messages
from hadirector.answers import Present
from hadirector.api.app import serve
from hadirector.care import ADVICE, Care
from hadirector.channel import Channel
from hadirector.config.codec import config_from_json, digest_of
from hadirector.config.model import Config
from hadirector.desk import ByHand, Desk, turn_told
from hadirector.drains import LOOK, Drains
from hadirector.elections import told_to_worker
from hadirector.health_store import HealthStore
from hadirector.hearing import hear_processes, hear_vrrp
from hadirector.ipvs.dataplane import Dataplane, DataplaneError
from hadirector.ipvs.model import Table
from hadirector.journal import Journal
from hadirector.leaving import OnStop, leave
from hadirector.looking import Looks, may_wait
from hadirector.overrides import ENABLE, OverrideStore
from hadirector.peer.room import PeerRoom, Reach
from hadirector.pool import Order
from hadirector.reconciler import HEALTH, Reconciler, Turn
from hadirector.rereading import Rereading
from hadirector.router_answers import Json
from hadirector.sync_keeper import SyncKernel
from hadirector.timed_drain import drain_of
from hadirector.turns import AUDIT, Asked, TurnRequests
from hadirector.upkeep import ROLE, SENT, Upkeep
from vrrp import messages as vrrp_messages

RELOAD = "reload"
_KNOWN = frozenset({HEALTH, ADVICE, RELOAD, ROLE, SENT, *Order, ENABLE})
"""Reasons for a turn that come with what changed; for any other the table is read first, and for
`LOOK` the services that are being drained."""


class Director:
    """One director process between its start and its stop."""

    def __init__(
        self,
        told: messages.Configure,
        channel: Channel,
        dataplane: Dataplane,
        kernel: SyncKernel | None = None,
    ) -> None:
        """`kernel` has the sync daemons, if not this host's."""
        self._told = told
        self._channel = channel
        self._runtime_dir = Path(told.runtime_dir)
        self._journal = Journal(Path(told.state_dir) / "journal.ndjson")
        self._overrides = OverrideStore(self._runtime_dir, self._journal)
        self._health = HealthStore(Path(told.state_dir), self._journal)
        self._turns = TurnRequests[Turn]()
        self._care = Care(
            told.node,
            self._journal,
            self._overrides,
            self._health,
            self._turns.ask,
            runtime_dir=self._runtime_dir,
        )
        self._pools = self._care.pools
        self._dataplane = dataplane
        self._reconciler = Reconciler(dataplane, self._journal)
        self._on_stop = OnStop.KEEP
        self._upkeep = Upkeep(
            told.node, self._runtime_dir, self._journal, again=self._turns.ask, kernel=kernel
        )
        self._looks = Looks(self._turns, self._reconciler.read)
        departures = self._reconciler.departures
        self._drains = Drains(
            self._overrides, self._pools.touch, self._turns.ask, departures=departures
        )
        self._reloads = TurnRequests[Json]()
        self._rereading = Rereading(told.file)
        self._told_quorums: dict[str, bool] | None = None
        self._grow: asyncio.TimerHandle | None = None
        self._memory = declared.Memory(self._runtime_dir)
        config = config_from_json(told.config)
        now = time.time()
        self._present = Present(
            node=told.node,
            file=told.file,
            config=config,
            digest=digest_of(told.config),
            started_at=now,
            loaded_at=now,
            checks=self._care.verdicts.views,
        )
        reach = Reach(
            runtime_dir=self._runtime_dir,
            look=self._look_again,
            again=self._turns.ask,
            to_vrrp=self._to_vrrp,
            gather=self._gather,
        )
        self._pair = PeerRoom(self._present, self._journal, reach)
        self._desk = Desk(
            self._present,
            self._journal,
            turns=self._turns,
            reloads=self._reloads,
            hand=ByHand(self._overrides, self._care.verdicts, self._pools, self._care.brakes),
            refresh=self._refresh,
        )

    async def run(self) -> None:
        """Serve until the supervisor says stop or is gone."""
        await self._take_up_the_table()
        end_api = await serve(self._desk, self._runtime_dir / "director.sock", self._pair.orders)
        work = [
            asyncio.create_task(task, name=name)
            for name, task in (
                ("heartbeat", self._beat()),
                ("checks", self._care.verdicts.scheduler.run()),
                ("memory", self._care.verdicts.keep()),
                ("brake", self._care.brakes.run()),
                ("hooks", self._care.hooks.run()),
                ("table", self._keep_the_table()),
                ("reload", self._keep_the_configuration()),
                ("peer", self._pair.run()),
                ("readiness", self._say_when_ready()),
            )
        ]
        listening = asyncio.create_task(self._listen(), name="supervisor")
        try:
            await asyncio.wait([listening, *work], return_when=asyncio.FIRST_COMPLETED)
            for task in (listening, *work):
                if task.done():
                    task.result()  # raises: all but the first end only by an error of ours
        finally:
            for task in (listening, *work):
                task.cancel()
            await asyncio.gather(listening, *work, return_exceptions=True)
            if not self._pair.orders.pause_sentence:
                await asyncio.gather(self._upkeep.stop(), self._leave())
            await self._care.verdicts.aclose()
            await end_api()

    async def _leave(self) -> None:
        if self._on_stop is not OnStop.KEEP:
            actual, ours = self._reconciler.actual, self._reconciler.declared
            undeclared = self._present.config.undeclared
            sentence = await leave(self._on_stop, self._dataplane, actual, ours, undeclared)
            self._journal.add("table", f"stop: {sentence}")

    async def _take_up_the_table(self) -> None:
        """Adopt what the kernel serves already: its servers start up, not unknown."""
        try:
            self._reconciler.declared |= declared.recall(self._runtime_dir)
        except (OSError, ValueError) as error:
            self._journal.add("table", f"what was declared before is not known: {error}")
        actual = Table()
        if self._present.config.services:
            try:
                actual = await self._reconciler.read()
            except DataplaneError as error:
                self._table_failed(error)
        self._care.adopt(self._present.config, actual)
        self._turns.ask("start")

    async def _say_when_ready(self) -> None:
        await self._care.verdicts.first_round.wait()
        while True:
            with suppress(DataplaneError):  # told and tried again by the task that owns the table
                turn = await self._turns.ask_and_wait("first round of checks")
                break
        self._present.ready = True
        self._care.ready()
        self._tell_quorums()
        if self._told.adopting and self._present.digest == digest_of(self._told.config):
            self._tell_adopted(self._present.config, self._told.config)
        await self._upkeep.warm_up(self._present, self._pair.is_warm)
        self._channel.send(messages.encode(messages.Ready(turn.sentence)))
        await self._rereading.ahead(self._present)
        await asyncio.Event().wait()

    # The table

    async def _keep_the_table(self) -> None:
        retry_s = limits.RECONCILE_RETRY_FIRST_S
        while True:
            asked = await self._turns.next(self._present.config.audit)
            try:
                looks = self._looks_ahead(asked)
                if looks and not await self._looks.ahead(asked):
                    continue
                turn = await self._turn(asked, just_read=looks)
            except DataplaneError as error:
                self._table_failed(error)
                asked.fail(error)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, limits.RECONCILE_RETRY_MAX_S)
                self._turns.ask("retry")
                continue
            asked.done(turn)
            self._looks.make_up()
            # At the services of the drains, or at all.
            looked = not _KNOWN.issuperset(asked.reasons or [AUDIT])
            self._drains.look(self._present.config, self._reconciler.actual, fresh=looked)
            self._present.trouble.pop("table", None)
            retry_s = limits.RECONCILE_RETRY_FIRST_S
            if turn.failures:
                # The kernel refused a step for good (an unknown scheduler); the audit tries again.
                self._present.trouble["table"] = turn.failures[0]

    def _looks_ahead(self, asked: Asked[Turn]) -> bool:
        if self._pair.orders.pause_sentence or not may_wait(asked):
            return False
        return self._reconciler.reads(self._pools.by_name, self._present.config.undeclared)

    async def _turn(self, asked: Asked[Turn], *, just_read: bool) -> Turn:
        config, pools = self._present.config, self._pools
        looks = not (_KNOWN | {LOOK}).issuperset(asked.reasons or [AUDIT])
        drained = self._drains.services(config) if LOOK in asked.reasons else frozenset()
        changes = pools.decide(self._overrides.held, asyncio.get_running_loop().time())
        self._journal_quorum()
        self._tell_quorums()
        self._expect_growth()
        self._present.pools = pools.by_name  # what the checks say, whatever becomes of the table
        self._pair.decided()
        if paused := self._pair.orders.pause_sentence:
            self._present.turn = self._reconciler.left_alone(asked.why, paused)
            return self._present.turn
        if looks or not {RELOAD, ROLE, SENT}.isdisjoint(asked.reasons):
            await self._upkeep.turn(config)
        if drained and not looks:
            await self._reconciler.look(drained)
        # Noted before it is done: what is killed in between must know its services again.
        self._reconciler.declared.update(*(each.service.kernel_keys for each in changes.pools))
        self._memory.keep(self._reconciler.declared)
        turn = await self._reconciler.turn(
            asked.why,
            pools.by_name.values(),
            changes=None if looks else changes,
            undeclared=config.undeclared,
            drain=drain_of(config),
            just_read=just_read,
            looked_at=drained,
        )
        self._present.actual = self._reconciler.actual
        self._present.turn = turn
        self._present.leaving = self._reconciler.leaving()
        self._memory.keep(self._reconciler.declared)
        self._pair.decided()
        return turn

    def _expect_growth(self) -> None:
        """Decide again when the next server in its slow start has earned more weight."""
        if self._grow is not None:
            self._grow.cancel()
        due, loop = self._pools.next_growth(), asyncio.get_running_loop()
        self._grow = None if due is None else loop.call_at(due, self._turns.ask, HEALTH)

    def _journal_quorum(self) -> None:
        self._care.swung()
        for now in self._pools.swung:
            name, verb = now.service.name, "has" if now.quorum_met else "has lost"
            self._journal.add("quorum", f"{name} {verb} its quorum: {now.sentence}", subject=name)

    def _tell_quorums(self) -> None:
        """Let the elections know; not before every check has had a result."""
        met = self._pools.quorums
        if self._present.ready and met != self._told_quorums:
            self._told_quorums = dict(met)
            self._channel.send(messages.encode(messages.Quorums(met)))

    def _table_failed(self, error: DataplaneError) -> None:
        sentence = f"the table cannot be kept: {error}; {error.remedy}"
        if self._present.trouble.get("table") != sentence:
            self._journal.add("table", sentence)
        self._present.trouble["table"] = sentence

    # The configuration

    async def _keep_the_configuration(self) -> None:
        """One reload at a time: of two at once, the older reading of the file could win."""
        while True:
            asked = await self._reloads.next()
            asked.done(await self._read_again(asked.why))

    async def _read_again(self, asked_by: str) -> Json:
        outcome = await self._rereading.again(self._present)
        self._journal.add("reload", outcome.sentence, asked_by=asked_by)
        if outcome.refused:
            self._present.trouble["file"] = f"a restart would fail: {outcome.sentence}"
            return outcome.reply()
        self._present.trouble.pop("file", None)
        if outcome.config is None:
            return outcome.reply()
        self._adopt(outcome.config, outcome.loaded.digest)
        table, failures = await turn_told(self._turns, RELOAD)
        # Now that the table is ready for its clients, the addresses may follow.
        self._tell_adopted(outcome.config, outcome.loaded.json)
        # It went by what the table was held to be: is that what it is?
        asyncio.get_running_loop().call_later(limits.LOOKED_OVER_AFTER_S, self._turns.ask, AUDIT)
        return outcome.reply(table=table, failures=failures)

    def _tell_adopted(self, config: Config, json: str) -> None:
        vrrp = told_to_worker(config, self._told.node)
        self._channel.send(messages.encode(messages.Adopted(json, vrrp, config.balances)))

    def _adopt(self, config: Config, digest: str) -> None:
        """Go by another configuration from now on."""
        present = self._present
        present.config, present.digest, present.loaded_at = config, digest, time.time()
        for gone in present.routers.keys() - {router.name for router in config.virtual_routers}:
            del present.routers[gone]
        self._care.adopt(config, self._reconciler.actual)
        self._pair.adopt(config)

    # What the supervisor says

    async def _listen(self) -> None:
        while (line := await self._channel.receive()) is not None:
            try:
                message = messages.decode(line)
            except messages.MessageError as error:
                self._journal.add("process", f"the supervisor said something unknown: {error}")
                continue
            match message:
                case messages.FromVrrp(text):
                    hear_vrrp(self._present, self._journal, text)
                    self._hear_roles()
                case messages.Note(kind, sentence, at):
                    self._journal.add(kind, sentence, at=at)
                case messages.Processes(table):
                    hear_processes(self._present, table)
                    self._hear_roles()
                case messages.Reload(asked_by):
                    self._reloads.ask(asked_by)  # and listen on: a stop may come meanwhile
                case messages.Stop(reason):
                    how = self._told.on_stop or self._present.config.on_stop
                    self._journal.add("process", f"stops ({reason}); the table: {how}")
                    self._on_stop = OnStop(how)
                    return
        self._journal.add("process", "the supervisor is gone: stops; the table stays in place")

    def _hear_roles(self) -> None:
        reports = self._present.routers.items()
        self._upkeep.roles_changed({name: report.state for name, report in reports})
        self._pair.news()

    async def _look_again(self) -> None:
        with suppress(DataplaneError):  # told, and tried again, by the task that owns the table
            await self._turns.ask_and_wait(AUDIT)

    def _to_vrrp(self, message: vrrp_messages.ToElections) -> None:
        line = vrrp_messages.encode(message).decode()
        self._channel.send(messages.encode(messages.ToVrrp(line)))

    async def _beat(self) -> None:
        while True:
            self._channel.send(messages.encode(messages.Heartbeat()))
            await asyncio.sleep(limits.DIRECTOR_HEARTBEAT_EVERY_S)

    def _refresh(self) -> None:
        """Have in `present` what its owners know, the peer included."""
        self._gather()
        self._present.peer = self._pair.told()
        self._present.trouble_of_pair = self._pair.trouble

    def _gather(self) -> None:
        """Have in `present` what its owners on this side know."""
        present = self._present
        present.sync = self._upkeep.sync
        crew = self._care.verdicts.crew
        present.workers = [one.to_json() for one in crew.views]
        troubles = {
            "workers": crew.trouble,
            "journal": self._journal.trouble,
            "overrides": self._overrides.trouble,
            "health": self._health.trouble,
            "declared": self._memory.trouble,
            "settings": self._upkeep.trouble.get("settings"),
            "sync": self._upkeep.trouble.get("sync"),
        }
        for about, sentence in troubles.items():
            present.trouble.pop(about, None)
            if sentence:
                present.trouble[about] = sentence
        present.brake = self._care.brakes.told()
