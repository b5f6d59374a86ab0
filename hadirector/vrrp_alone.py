"""The director process of a configuration that balances nothing: VRRP alone.

The problem: two hosts that only share addresses need no IPVS and check nothing, and yet operators
want the same journal, the same `status` and `explain`, the same reload. The approach: this process
has just these, and loads nothing of checks, pools and tables; what it knows of the virtual routers
it knows from the line that the VRRP worker was told. The rules of a whole file are loaded when it
is read again. Where the file then says that something is to be balanced, this process ends its work
with what the full director (`director`) goes on with, in the same process.

Never: the kernel's table, or a word about services.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector import __version__, limits, messages
from hadirector.api.app import serve
from hadirector.channel import Channel
from hadirector.hearing import hear_processes, hear_vrrp
from hadirector.journal import Journal
from hadirector.router_answers import (
    Json,
    UnknownSubjectError,
    rivals,
    router_explained,
    router_told,
)
from vrrp import messages as vrrp_messages
from vrrp.config import RouterSettings

if TYPE_CHECKING:
    from hadirector.overrides import Command
    from hadirector.rereading import Rereading

READY = "VRRP alone: nothing is checked or balanced"
NO_TABLE = "no services, so the table is not looked at"


@dataclass(slots=True, kw_only=True)
class _Heard:
    """What was heard of the processes (`hearing.Heard`)."""

    settings: dict[str, RouterSettings]
    routers: dict[str, vrrp_messages.RouterReport] = field(default_factory=dict)
    timing: vrrp_messages.Timing | None = None
    processes: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)

    @property
    def router_names(self) -> frozenset[str]:
        return frozenset(self.settings)


class VrrpAlone:
    """One such process between its start and its stop, or the reload that wants more of it."""

    def __init__(self, told: messages.Configure, channel: Channel) -> None:
        self._told = told
        self._channel = channel
        self._journal = Journal(Path(told.state_dir) / "journal.ndjson")
        self._heard = _Heard(settings=_settings(told.vrrp))
        self._started_at = self._loaded_at = time.time()
        self._rereading: Rereading | None = None
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[Json]] = set()  # asked for by a signal
        self._outgrown = asyncio.Event()
        self._next: messages.Configure | None = None  # then, what to be instead

    async def run(self) -> messages.Configure | None:
        """Serve until the supervisor says stop or is gone: None; or what to be from now on."""
        end_api = await serve(self, Path(self._told.runtime_dir) / "director.sock")
        work = [
            asyncio.create_task(task, name=name)
            for name, task in (
                ("heartbeat", self._beat()),
                ("supervisor", self._listen()),
                ("reload", self._until_outgrown()),
            )
        ]
        self._channel.send(messages.encode(messages.Ready(READY)))
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()  # raises what was an error of ours
            if self._next is not None:
                self._channel.put_back(self._heard_so_far())
            return self._next
        finally:
            tasks = [*work, *self._reloads]
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await end_api()  # after the reply to whoever asked for the reload

    async def _until_outgrown(self) -> None:
        await self._outgrown.wait()

    def _heard_so_far(self) -> list[bytes]:
        """What whoever goes on from here must know of the processes, as the supervisor says it."""
        reports = [
            messages.encode(messages.FromVrrp(vrrp_messages.encode(report).decode()))
            for report in self._heard.routers.values()
        ]
        return [messages.encode(messages.Processes(self._heard.processes)), *reports]

    async def _beat(self) -> None:
        while True:
            self._channel.send(messages.encode(messages.Heartbeat()))
            await asyncio.sleep(limits.DIRECTOR_HEARTBEAT_EVERY_S)

    async def _listen(self) -> None:
        while (line := await self._channel.receive()) is not None:
            try:
                message = messages.decode(line)
            except messages.MessageError as error:
                self._journal.add("process", f"the supervisor said something unknown: {error}")
                continue
            match message:
                case messages.FromVrrp(text):
                    hear_vrrp(self._heard, self._journal, text)
                case messages.Note(kind, sentence, at):
                    self._journal.add(kind, sentence, at=at)
                case messages.Processes(table):
                    hear_processes(self._heard, table)
                case messages.Reload(asked_by):
                    reload = asyncio.create_task(self.reload(asked_by))
                    self._reloads.add(reload)
                    reload.add_done_callback(self._reloads.discard)
                case messages.Stop(reason):
                    self._journal.add("process", f"stops ({reason})")
                    self._next = None
                    return
        self._journal.add("process", "the supervisor is gone: stops")
        self._next = None

    # What the API asks

    def status(self) -> Json:
        """Everything about this director."""
        heard = self._heard
        if self._journal.trouble:
            heard.trouble["journal"] = self._journal.trouble
        else:
            heard.trouble.pop("journal", None)
        return {
            "version": __version__,
            "node": self._told.node,
            "file": self._told.file,
            "digest": hashlib.sha256(self._told.config.encode()).hexdigest(),
            "ready": True,
            "started_at": self._started_at,
            "loaded_at": self._loaded_at,
            "workers": [],
            "processes": {name: dict(facts) for name, facts in heard.processes.items()},
            "timing": None if heard.timing is None else asdict(heard.timing),
            "routers": [
                router_told(settings, heard.routers.get(name))
                for name, settings in heard.settings.items()
            ],
            "services": [],
            "leaving": [],
            "table": {
                "sentence": NO_TABLE,
                "at": None,
                "kept": [],
                "oddities": [],
                "failures": [],
            },
            "sync": None,
            "peer": None,
            "brake_control": None,
            "trouble": sorted([*heard.trouble.values(), *rivals(heard.routers)]),
        }

    def explain(self, what: str) -> Json:
        """Why a virtual router is as it is; raises UnknownSubjectError."""
        settings = self._heard.settings.get(what)
        if settings is None:
            known = ", ".join(sorted(self._heard.settings)) or "nothing"
            raise UnknownSubjectError(f'nothing here is called "{what}"; there is: {known}')
        told = router_told(settings, self._heard.routers.get(what))
        return {"kind": "router", **router_explained(told)}

    def events(self, count: int) -> list[Json]:
        """The last events of the journal, oldest first."""
        return [asdict(event) for event in self._journal.newest(count)]

    async def audit(self) -> Json:
        """There is nothing to compare."""
        nothing: Json = {"repaired": [], "left": [], "kept": [], "oddities": [], "failures": []}
        return {"sentence": NO_TABLE, **nothing}

    async def override(self, what: str, command: Command, *, by: str) -> Json:
        """There is no server; raises UnknownSubjectError."""
        raise UnknownSubjectError(f'nothing is called "{what}": {self._told.file} has no services')

    async def believe(self, what: str, *, by: str) -> Json:
        """There is no service; raises UnknownSubjectError."""
        raise UnknownSubjectError(f'nothing is called "{what}": {self._told.file} has no services')

    async def reload(self, asked_by: str) -> Json:
        """Read the configuration again; what is wrong with it changes nothing."""
        async with self._reloading:
            return await self._read_again(asked_by)

    async def _read_again(self, asked_by: str) -> Json:
        from hadirector.answers import Present
        from hadirector.config.codec import config_from_json
        from hadirector.elections import told_to_worker
        from hadirector.rereading import Rereading

        told = self._told
        if self._rereading is None:
            self._rereading = Rereading(told.file)
        before = Present(
            node=told.node,
            file=told.file,
            config=config_from_json(told.config),
            digest=hashlib.sha256(told.config.encode()).hexdigest(),
            started_at=self._started_at,
            loaded_at=self._loaded_at,
        )
        outcome = await self._rereading.again(before)
        self._journal.add("reload", outcome.sentence, asked_by=asked_by)
        if outcome.refused:
            self._heard.trouble["file"] = f"a restart would fail: {outcome.sentence}"
            return outcome.reply()
        self._heard.trouble.pop("file", None)
        if outcome.config is None:
            return outcome.reply()
        vrrp = told_to_worker(outcome.config, told.node)
        adopted = replace(told, config=outcome.loaded.json, vrrp=vrrp)
        if outcome.config.balances:
            self._journal.add("process", "there is something to balance from now on")
            self._next = replace(adopted, balances=True, adopting=True)
            self._outgrown.set()
            return outcome.reply(table="its services are added now, then the addresses follow")
        self._adopt(adopted)
        return outcome.reply(table=NO_TABLE)

    def _adopt(self, told: messages.Configure) -> None:
        self._told, self._loaded_at = told, time.time()
        self._heard.settings = _settings(told.vrrp)
        for gone in self._heard.routers.keys() - self._heard.settings.keys():
            del self._heard.routers[gone]
        self._channel.send(messages.encode(messages.Adopted(told.config, told.vrrp, False)))


def _settings(line: str) -> dict[str, RouterSettings]:
    told = vrrp_messages.decode(line.encode())
    assert isinstance(told, vrrp_messages.Configure)
    return {router.name: router for router in told.routers}
