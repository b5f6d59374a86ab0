"""Carries a drill out on the running pair: the keeper acts, clients ask, this one watches.

The problem: whoever watches may die, and so may whoever acts. The approach: three kinds of
processes. The keeper (`keeper`) does the steps and puts them back when its input ends; if it is
the keeper that dies, another one puts everything back. The askers (`askers`) are the clients. Here
is the watch: it aborts when nobody is answered for longer than the budget, when the operator
interrupts, and when what should be seen does not come; and it notes the time of everything.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from hadirector.cli.client import ask
from hadirector.cli.errors import CliError
from hadirector.drill.askers import Asker
from hadirector.drill.course import Course
from hadirector.drill.keeper import BACK, BEGIN, ENOUGH, encode
from hadirector.drill.live import ACTIVE, Facts, Look, Promise, healed
from hadirector.drill.sequence import Run, Step
from hadirector.drill.timeline import Kind
from hadirector.drill.wire import Wire
from hadirector.elections import router_settings

LOOK_S: Final = 0.05
STATUS_S: Final = 2.0  # for the director process to answer
AFTERWARDS_S: Final = 1.0  # clients go on asking when all has been seen, and when all is well
HEAL_S: Final = 180.0
SPARE_S: Final = 60.0
ASKED_BOUND_S: Final = 10.0
EVENTS_ASKED: Final = 100
INTERRUPTED = "interrupted"


class Conductor:
    """One drill, from the first step until all is well again."""

    def __init__(
        self,
        facts: Facts,
        steps: Sequence[Step],
        promises: Sequence[Promise],
        *,
        askers: Sequence[Asker],
        budget_ms: float,
        tell: Callable[[str], None],
    ) -> None:
        self.course = Course()
        self._facts = facts
        self._runtime_dir = Path(facts.runtime_dir)
        self._steps = tuple(steps)
        self._promises = list(promises)
        self._askers = askers
        self._budget_ms = budget_ms
        self._tell = tell
        self._look = Look(facts.status)
        self._acted = 0  # steps that are done
        self._acted_at = 0.0  # when the last of them was, monotonic
        self._seen_at: float | None = None  # when the last promise was kept
        self._over = asyncio.Event()
        self._asked_to_end = ""

    async def run(self) -> Course:
        """Do it; returns when the pair is well again, or HEAL_S have passed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt, number.name)
        names = self._facts.active_here
        settings = router_settings(self._facts.config, self._facts.node)
        moved = [each for each in settings if each.name in names]
        wire = Wire(moved, self.course.heard)
        wire.begin()
        self.course.notes += wire.deaf
        try:
            self.course.began_at = time.time()
            await self._keep(BEGIN, watch=True)
            if not self._over.is_set():
                self.course.faults.append("the keeper died: everything is put back by another one")
                await self._keep(BACK, watch=False)
                if not self._over.is_set():
                    self.course.faults.append("that one died as well: see what is not put back")
            await self._heal()
        finally:
            wire.end()
            self.course.ended_at = time.time()
        return self.course

    def _interrupt(self, name: str) -> None:
        self._tell(f"{name}: everything is put back")
        self._asked_to_end = self._asked_to_end or f"{INTERRUPTED} ({name})"

    async def _keep(self, order: str, *, watch: bool) -> None:
        """One life of a keeper."""
        limit_s = SPARE_S + sum(
            step.hold_s
            + sum(each.bound_s for each in (step.act, step.undo) if isinstance(each, Run))
            for step in self._steps
        )
        keeper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hadirector.drill.keeper"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        hearing = asyncio.create_task(self._hear(keeper.stdout))
        try:
            _say(keeper.stdin, encode(self._steps, limit_s=limit_s).strip())
            _say(keeper.stdin, order)
            while watch and not hearing.done():
                for line in await self._watch():
                    _say(keeper.stdin, line)
                await asyncio.wait({hearing}, timeout=LOOK_S)
            await hearing
        finally:
            keeper.stdin.close()
            await keeper.wait()

    async def _hear(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            told = json.loads(line)
            match told["event"]:
                case "step":
                    self._note(told["at"], told["text"], Kind.DONE)
                case "done" if not told["why"]:
                    self._acted, self._acted_at = self._acted + 1, time.monotonic()
                    self._phases_of(told["said"])
                case "back":
                    self._note(told["at"], f"put back: {told['text']}", Kind.DONE)
                    self._phases_of(told["said"])
                case "end":
                    self._over.set()
                    if told["why"]:
                        self.course.faults.append(told["why"])

    def _phases_of(self, said: str) -> None:
        """What a switchover has measured."""
        with suppress(ValueError):
            told = json.loads(said)
            self.course.notes.append(told["sentence"])

    async def _watch(self) -> list[str]:
        """Look once; returns what the keeper is told."""
        await self._see()
        if self._asked_to_end:
            why, self._asked_to_end = self._asked_to_end, ""
            return [why]
        worst = max((asker.silent_ms for asker in self._askers), default=0.0)
        if worst > self._budget_ms:
            return [f"nobody answered for {worst:.0f} ms, the budget is {self._budget_ms:.0f} ms"]
        if any(asker.ended for asker in self._askers):
            return ["nobody asks any more"]
        if self._acted < len(self._steps):
            return []
        return self._check_promises()

    def _check_promises(self) -> list[str]:
        now = time.monotonic()
        while self._promises and self._promises[0].holds(self._look):
            promise = self._promises.pop(0)
            self._note(time.time(), promise.text, Kind.SEEN)
            self._seen_at = now
        if self._promises:
            first = self._promises[0]
            if (now - self._acted_at) * 1000 > first.within_ms:
                self._promises.clear()
                return [f"not within {first.within_ms:.0f} ms: {first.text}"]
            return []
        since = self._acted_at if self._seen_at is None else max(self._seen_at, self._acted_at)
        return [ENOUGH] if now - since > AFTERWARDS_S else []

    async def _see(self) -> None:
        status = await asyncio.to_thread(_status, self._runtime_dir)
        journaled = await asyncio.to_thread(_journal, self._runtime_dir, self.course.began_at)
        self._look = Look(status, frozenset(self.course.heard.advertised), journaled)
        active = self._who_is_active(status)
        if not self.course.roles or self.course.roles[-1][1] != active:
            self.course.roles.append((time.time(), active))

    def _who_is_active(self, status: dict[str, Any]) -> str | None:
        names = self._facts.active_here
        if not status or not names:
            return None
        here = {each["name"] for each in status["routers"] if each["state"] == ACTIVE}
        theirs = (status["peer"] or {}).get("routers", {})
        if here.issuperset(names):
            return self._facts.node
        if all(theirs.get(name, {}).get("state") == ACTIVE for name in names):
            return self._facts.peer
        return None

    async def _heal(self) -> None:
        """Wait until the pair is as it should be, then a little longer for the clients."""
        deadline = time.monotonic() + HEAL_S
        while True:
            await self._see()
            missing = healed(self._facts, self._look)
            if not missing:
                self._note(time.time(), "the pair is well", Kind.SEEN)
                break
            if self._asked_to_end.startswith(INTERRUPTED) or time.monotonic() > deadline:
                self.course.faults.append(f"not healed yet: {missing}")
                break
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(AFTERWARDS_S)

    def _note(self, at: float, text: str, kind: Kind) -> None:
        self.course.moments.append((at, text, kind))
        self._tell(f"{(at - self.course.began_at) * 1000:7.0f} ms  {text}")


def _say(keeper: asyncio.StreamWriter, line: str) -> None:
    keeper.write(line.encode() + b"\n")


def _status(runtime_dir: Path) -> dict[str, Any]:
    try:
        return dict(ask(runtime_dir, "/status", timeout_s=STATUS_S))
    except CliError:
        return {}


def _journal(runtime_dir: Path, since: float) -> tuple[str, ...]:
    """What this director has journaled since then, as `kind: sentence`."""
    try:
        told = ask(runtime_dir, f"/events?count={EVENTS_ASKED}", timeout_s=STATUS_S)["events"]
    except CliError:
        return ()
    events = cast("list[dict[str, Any]]", told)
    return tuple(f"{each['kind']}: {each['sentence']}" for each in events if each["at"] >= since)


async def answered(askers: Sequence[Asker]) -> list[str]:
    """Wait until each has had an answer; returns what is wrong where one has none."""
    deadline = time.monotonic() + ASKED_BOUND_S
    while time.monotonic() < deadline:
        if all(asker.answered for asker in askers) or any(asker.ended for asker in askers):
            break
        await asyncio.sleep(LOOK_S)
    return [
        f"nobody answers at {asker.asking.url}{f': {asker.said.strip()}' if asker.said else ''}"
        for asker in askers
        if not asker.answered
    ]
