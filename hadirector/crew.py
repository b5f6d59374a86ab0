"""The check workers of a director process (`workers:`): child processes that make its probes.

The problem: tens of thousands of checks are more than one processor can make, and all their
verdicts belong together. The approach: each worker makes a share of the probes, picked by a hash of
their digests (`assignments`), and tells what came of them; everything is judged here, by the very
scheduler that judges the probes of this process. Without workers this process makes them.

A worker that dies or says nothing for too long is killed and started again, ever more slowly if it
keeps dying (`child`). Its probes *cannot be made* meanwhile: no verdict changes by that. One event
tells of it, however many they are. Must never judge, nor forget a probe it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass

from checkers import wire
from checkers.check import Check
from checkers.options import CheckOptions
from checkers.quick import Outcome
from checkers.runner import LocalRunner, Miss, Tell
from hadirector import limits
from hadirector.assignments import Ledger, shard_of
from hadirector.child import Child, Role
from hadirector.watch import Patience, Watch

_MODULE = "checkers.worker"
_PATIENCE = Patience(
    start_s=limits.START_S,
    heartbeat_s=limits.CHECK_WORKER_HEARTBEAT_S,
    stop_s=limits.CHECK_WORKER_STOP_S,
)

Note = Callable[[str], object]
"""Takes a sentence for the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """One worker, for people."""

    number: int
    """From 1."""
    pid: int | None
    """None while it is down."""
    restarts: int
    since: float | None
    """Unix time since when it runs."""
    probes: int
    """Different probes that it makes."""
    in_flight: int
    """Probes under way when it last told."""
    late_ms: float
    """The most that a probe began late in the second before it last told."""

    def to_json(self) -> dict[str, object]:
        """The shape of `status`."""
        return asdict(self)


class Worker:
    """One worker: its process, what it makes, and what it said last."""

    def __init__(self, number: int, note: Note, patience: Patience) -> None:
        self.number = number
        self.ledger = Ledger()
        self.heartbeat = wire.Heartbeat(0.0, 0)
        self.trouble: str | None = None
        self._note = note
        self._tell: Tell | None = None
        self._miss: Miss | None = None
        self._flushing = False
        self._stopping = False
        self._understood = True
        self._version = wire.VERSION
        role = Role(
            name=f"check worker {number}",
            module=_MODULE,
            greet=self._greet,
            hear=self._hear,
            bury=self._bury,
            goodbye=lambda _: wire.encode(wire.Stop()),
        )
        self.child = Child(role, Watch(patience))

    def attend(self, tell: Tell, miss: Miss) -> None:
        """Tell these of what comes of the probes."""
        self._tell, self._miss = tell, miss

    def view(self) -> WorkerView:
        """It, now."""
        return WorkerView(
            number=self.number,
            pid=self.child.pid,
            restarts=self.child.watch.restarts,
            since=self.child.since,
            probes=len(self.ledger),
            in_flight=self.heartbeat.in_flight,
            late_ms=round(1000 * self.heartbeat.late_s, 1),
        )

    def stop(self, reason: str) -> None:
        """Have it end: nobody wants to hear of it any more."""
        self._stopping = True
        self.child.stop(reason)

    def changed(self) -> None:
        """Tell the process what is new in its ledger, together with what else is this moment."""
        if not self._flushing and self.child.pid is not None:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self.child.pid is not None:  # else a new one is told everything
            for message in self.ledger.news():
                self.child.send(wire.encode(message))

    def _greet(self) -> list[bytes]:
        self._version, self._understood = wire.VERSION, True
        return [wire.encode(one) for one in (wire.Begin(), *self.ledger.all())]

    def _hear(self, line: bytes) -> bool:
        try:
            message = wire.decode(line)
        except wire.WireError as error:
            if self._understood:
                self._complain(f"says what is not understood, and is replaced: {error}")
            self._understood = False
            return False
        match message:
            case wire.Found(outcomes):
                for number, outcome in outcomes:
                    self._found(number, outcome)
            case wire.Heartbeat() if self._understood:  # else it is taken for frozen
                self.heartbeat = message
                if self.trouble is not None:
                    self.trouble = None
                    self._note(f"check worker {self.number} runs again (pid {self.child.pid})")
                return True
            case wire.Refused(version):
                self._version = version
        return False

    def _found(self, number: int, outcome: Outcome) -> None:
        digest = self.ledger.digest_of(number)
        if digest is None or self._tell is None:
            return  # dropped while it was under way
        interval_s = self._tell(digest, outcome)
        if self.ledger.digest_of(number) == digest:  # what was told may have had it dropped
            self.ledger.pace(digest, interval_s)
            self.changed()

    def _complain(self, what: str) -> None:
        sentence = f"check worker {self.number} {what}"
        if self.trouble != sentence:
            self._note(sentence)
        self.trouble = sentence

    async def _bury(self, how: str) -> None:
        if self._stopping:
            return
        if self._version != wire.VERSION:
            how = (
                f"is of another version of hadirector (its messages {self._version}, ours "
                f"{wire.VERSION}), and the director process has to be started again"
            )
        self.heartbeat = wire.Heartbeat(0.0, 0)
        count = len(self.ledger)
        self._complain(f"{how}: {count} probes cannot be made until it runs again")
        for probe in tuple(self.ledger.probes.values()):
            if self._miss is not None:
                self._miss(probe.digest, f"check worker {self.number} {how}")


class Crew:
    """A `checkers.runner.Runner` that has its probes made by workers, if it has any."""

    def __init__(self, note: Note, patience: Patience = _PATIENCE) -> None:
        """`patience`: how long a worker may be silent."""
        self._note = note
        self._patience = patience
        self._local = LocalRunner()
        self._workers: list[Worker] = []
        self._of: dict[str, Worker] = {}  # by digest; all others are made here
        self._tell: Tell | None = None
        self._miss: Miss | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self._asked_last: tuple[CheckOptions | None, bool] = None, False  # whether they travel
        self._ended = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Probes under way, in the workers as they last told."""
        return self._local.in_flight + sum(one.heartbeat.in_flight for one in self._workers)

    @property
    def views(self) -> tuple[WorkerView, ...]:
        """All workers, now."""
        return tuple(worker.view() for worker in self._workers)

    @property
    def trouble(self) -> str | None:
        """What is wrong with workers; None: nothing."""
        return "; ".join(one.trouble for one in self._workers if one.trouble is not None) or None

    def resize(self, count: int) -> None:
        """Have so many workers; 0: none. Probes move only where their worker is another one."""
        if count == len(self._workers):
            return
        moving = [(digest, job.check, job.interval_s) for digest, job in self._local.jobs.items()]
        for worker in self._workers:
            probes = worker.ledger.probes.values()
            moving += [(one.digest, one.check, one.interval_s) for one in probes]
        before, leaving = self._workers, self._workers[count:]
        self._workers = before[:count]
        while len(self._workers) < count:
            self._add(Worker(len(self._workers) + 1, self._note, self._patience))
        for digest, check, interval_s in moving:
            if self._place(digest, check) is not self._of.get(digest):
                self.drop(digest)
                self.take(digest, check, interval_s)
        for worker in leaving:
            worker.stop("there are to be fewer workers")

    def attend(self, tell: Tell, miss: Miss) -> None:
        """Tell these of what comes of the probes; see `Runner`."""
        self._tell, self._miss = tell, miss
        self._local.attend(tell, miss)
        for worker in self._workers:
            worker.attend(tell, miss)

    def take(self, digest: str, check: Check, interval_s: float) -> None:
        """Have this probe made from now on; see `Runner`."""
        worker = self._of.get(digest) or self._place(digest, check)
        if worker is None:
            self._local.take(digest, check, interval_s)
            return
        self._of[digest] = worker
        worker.ledger.take(digest, check, interval_s)
        worker.changed()

    def pace(self, digest: str, interval_s: float) -> None:
        """Have a probe made at another pace; see `Runner`."""
        worker = self._of.get(digest)
        if worker is None:
            self._local.pace(digest, interval_s)
            return
        worker.ledger.pace(digest, interval_s)
        worker.changed()

    def drop(self, digest: str) -> None:
        """Have this probe made no more; see `Runner`."""
        worker = self._of.pop(digest, None)
        if worker is None:
            self._local.drop(digest)
            return
        worker.ledger.drop(digest)
        worker.changed()

    async def run(self) -> None:
        """Have probes made until `aclose` or cancellation; then every worker has ended."""
        if self._running:
            raise RuntimeError("this crew ran already")
        self._running = True
        try:
            self._start(self._local.run())
            for worker in self._workers:
                self._start(worker.child.run())
            await self._ended.wait()
            for task in self._tasks:
                if task.done():
                    task.result()  # raises: an error of ours
        finally:
            for worker in self._workers:
                worker.stop("the director ends")
            await self._local.aclose()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Make `run` end, and wait until no probe is under way."""
        self._ended.set()
        await self._local.aclose()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _place(self, digest: str, check: Check) -> Worker | None:
        """Whose probe this is; None: of this process, as are options that cannot be passed on."""
        if not self._workers:
            return None
        if self._asked_last[0] is not check.options:  # thousands of servers have the same
            self._asked_last = check.options, wire.travels(check.options)
        if not self._asked_last[1]:
            return None
        return self._workers[shard_of(digest, len(self._workers))]

    def _add(self, worker: Worker) -> None:
        self._workers.append(worker)
        if self._tell is not None and self._miss is not None:
            worker.attend(self._tell, self._miss)
        if self._running:
            self._start(worker.child.run())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)
        else:
            self._ended.set()  # `run` raises it
