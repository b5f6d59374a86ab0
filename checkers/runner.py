"""Makes probes, each in its turn: the hands of the scheduler, which know no verdict.

The problem: tens of thousands of probes, each of which may hang, must neither delay one another nor
the process they live in. The approach: one timetable and one timer for all of them, and a bound on
how many are under way. A probe that needs no task (`checkers.quick`) is told its deadline by that
timer; any other is a task, keeps its own deadline, and is cancelled if it overruns that.

What came of a probe goes to whoever judges (`Tell`), who says how long it is to the next one. So
the same hands work beside their judge or in a process of their own (`checkers.worker`). Must never
log, keep a result, or do anything per pass beyond telling of it.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from checkers import limits
from checkers.base import ProbeError, Result
from checkers.check import Check
from checkers.inverted import inverted
from checkers.poller import Poller
from checkers.quick import Outcome, Place, Quick, Turns
from checkers.timetable import Timetable

Tell = Callable[[str, Outcome], float]
"""Takes what came of the probe with this digest; returns the seconds between two from now on."""

Miss = Callable[[str, str], None]
"""Takes the digest of a probe that nobody makes for now, and why."""


class Runner(Protocol):
    """Makes the probes that it is given, here or elsewhere. Its probes go by their digests."""

    @property
    def in_flight(self) -> int:
        """Probes under way, as far as that is known here."""
        ...

    def attend(self, tell: Tell, miss: Miss) -> None:
        """Tell these of what comes of the probes; to be called once, before `run`."""
        ...

    def take(self, digest: str, check: Check, interval_s: float) -> None:
        """Make this probe from now on, first soon; one that is made already goes at this pace."""
        ...

    def pace(self, digest: str, interval_s: float) -> None:
        """Make a probe at another pace than that which it was last told of."""
        ...

    def drop(self, digest: str) -> None:
        """Make this probe no more, and tell nothing more of it."""
        ...

    async def run(self) -> None:
        """Make probes until `aclose` or cancellation; then none is left. May run once only."""
        ...

    async def aclose(self) -> None:
        """Make `run` end, and wait until no probe is under way."""
        ...


class Job:
    """One probe, made again and again."""

    __slots__ = ("check", "digest", "endpoint", "interval_s", "probe", "quick", "task", "under_way")

    def __init__(self, digest: str, check: Check, interval_s: float) -> None:
        self.digest = digest
        self.check = check
        self.interval_s = interval_s
        self.endpoint = check.endpoint
        self.probe = check.make_probe()
        self.under_way = False
        self.quick: Quick | None = None
        """Instead of the probe, where the kind has one; from when it was first entered."""
        self.task: asyncio.Task[None] | None = None


class LocalRunner:
    """Makes probes in the event loop that `run` is awaited in."""

    def __init__(self, *, in_flight_max: int | None = None) -> None:
        """`in_flight_max` bounds the probes under way; by default as many as descriptors allow."""
        self._in_flight_max = in_flight_max or _in_flight_max()
        self._tell: Tell = _nobody
        self._jobs: dict[str, Job] = {}  # by digest
        self._timetable = Timetable()
        self._turns: Turns | None = None  # set while running
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # set while running
        self._timer: asyncio.TimerHandle | None = None
        self._closing = asyncio.Event()
        self._late_s = 0.0

    @property
    def in_flight(self) -> int:
        """Probes under way."""
        return len(self._tasks) + (0 if self._turns is None else len(self._turns))

    @property
    def jobs(self) -> Mapping[str, Job]:
        """What is made here, by digest."""
        return self._jobs

    def late_s(self) -> float:
        """The most that a probe began late since this was last asked, in seconds."""
        late_s, self._late_s = self._late_s, 0.0
        return late_s

    def attend(self, tell: Tell, miss: Miss) -> None:
        """Tell `tell` of what comes of the probes."""
        self._tell = tell

    def take(self, digest: str, check: Check, interval_s: float) -> None:
        """Make this probe from now on; see `Runner`."""
        job = self._jobs.get(digest)
        if job is None:
            job = self._jobs[digest] = Job(digest, check, interval_s)
        job.interval_s = interval_s
        if not job.under_way:  # else its result comes in a moment
            self._enter(job)
            self._arm()

    def pace(self, digest: str, interval_s: float) -> None:
        """Make a probe at another pace; see `Runner`."""
        self._jobs[digest].interval_s = interval_s
        if self._loop is not None:
            self._timetable.pace(digest, self._loop.time(), interval_s)
            self._arm()

    def drop(self, digest: str) -> None:
        """Make this probe no more; see `Runner`."""
        job = self._jobs.pop(digest)
        if self._loop is not None:
            self._timetable.remove(digest)
        if job.task is not None:
            job.task.cancel()
        if job.quick is not None:
            job.quick.close()
            if self._turns is not None:
                self._turns.end(job.quick)
        self._arm()

    async def run(self) -> None:
        """Probe until `aclose` or cancellation; then no probe is left. May run once only."""
        if self._loop is not None or self._closing.is_set():
            raise RuntimeError("this scheduler ran already")
        self._loop = asyncio.get_running_loop()
        self._turns = Turns(Poller(self._loop, after=self._arm))
        for number, job in enumerate(self._jobs.values()):
            self._enter(job, turn=number / len(self._jobs))
        self._arm()
        try:
            await self._closing.wait()
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
            for job in self._jobs.values():
                if job.quick is not None:
                    job.quick.close()
            self._turns.close()
            self._turns = None
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Make `run` end, and wait until no probe is under way."""
        self._closing.set()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _enter(self, job: Job, *, turn: float | None = None) -> None:
        """Have it made soon; `turn` as the timetable has it."""
        if self._loop is not None:  # else `run` enters all of them
            if job.quick is None:
                job.quick = self._quick(job)
            now, spread_s = self._loop.time(), job.check.timing.spread
            self._timetable.add(job.digest, job.interval_s, now, spread_s=spread_s, turn=turn)

    def _arm(self) -> None:
        """Set the one timer to the next thing due; no probe is while there is no room for it."""
        if self._loop is None or self._turns is None:
            return
        due = self._timetable.next_due() if self.in_flight < self._in_flight_max else None
        deadline = self._turns.next_deadline()
        if deadline is not None and (due is None or deadline < due):
            due = deadline
        if self._timer is not None:
            if due == self._timer.when():
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        loop, turns = self._loop, self._turns
        if loop is None or turns is None:
            return
        now = loop.time()
        if len(turns):
            turns.poller.poll()  # what was answered while this process slept is no failure
            turns.expire(now)
        due = self._timetable.next_due()
        if due is not None:
            self._late_s = max(self._late_s, now - due)
        room = min(self._in_flight_max - self.in_flight, limits.PROBE_STARTS_PER_WAKE_MAX)
        jobs = [self._jobs[digest] for digest in self._timetable.take(now, room)]
        for job in jobs:
            job.under_way = True
        for number, job in enumerate(jobs, 1):
            if self._jobs.get(job.digest) is not job:
                continue  # gone by what was told of another one
            if job.quick is None:
                job.task = loop.create_task(self._attend(job))
                job.task.add_done_callback(partial(self._ended, job))
                self._tasks.add(job.task)
                continue
            turns.begin(job.quick, now, job.check.timing.timeout)
            if number % limits.QUICK_STARTS_PER_POLL == 0:
                turns.poller.poll()
        turns.poller.poll()  # on a near network, most are decided by now
        self._arm()

    def _quick(self, job: Job) -> Quick | None:
        assert self._turns is not None
        return job.check.options.make_quick(
            Place(
                target=job.endpoint,
                timeout_s=job.check.timing.timeout,
                poller=self._turns.poller,
                senders=self._turns.senders,
                ended=partial(self._quick_ended, job),
                hurry=partial(self._hurry, job),
            )
        )

    def _quick_ended(self, job: Job, outcome: Outcome) -> None:
        loop, turns = self._loop, self._turns
        if loop is None or turns is None or job.quick is None:
            return
        turns.end(job.quick)
        job.under_way = False
        if self._jobs.get(job.digest) is not job:
            return
        if isinstance(outcome, Result) and job.check.options.inverted:
            outcome = inverted(outcome)
        job.interval_s = self._tell(job.digest, outcome)
        if self._jobs.get(job.digest) is job:
            self._timetable.done(job.digest, loop.time(), job.interval_s)

    def _hurry(self, job: Job, pause_s: float) -> bool:
        if self._loop is None or job.under_way or self._jobs.get(job.digest) is not job:
            return False
        return self._timetable.hasten(job.digest, self._loop.time() + pause_s)

    async def _attend(self, job: Job) -> None:
        """One probe, from its start to what is told of it."""
        outcome = await self._probe(job)
        if self._jobs.get(job.digest) is job:
            job.interval_s = self._tell(job.digest, outcome)

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        """A callback and not the end of `_attend`: a task cancelled at once never runs at all."""
        self._tasks.discard(task)
        job.task = None
        job.under_way = False
        if self._loop is None:
            return
        if self._jobs.get(job.digest) is job:
            self._timetable.done(job.digest, self._loop.time(), job.interval_s)
        self._arm()

    async def _probe(self, job: Job) -> Result | ProbeError:
        timeout_s = job.check.timing.timeout
        try:
            async with asyncio.timeout(timeout_s + limits.PROBE_OVERRUN_S):
                return await job.probe.probe(job.endpoint, timeout_s)
        except ProbeError as error:
            return error
        except TimeoutError:
            return ProbeError(f"the probe did not keep its own deadline of {timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - the task's boundary; told like any other
            unexpected = ProbeError(f"unexpected {type(error).__name__}: {error}")
            unexpected.__cause__ = error
            return unexpected


def _nobody(digest: str, outcome: Outcome) -> float:
    raise RuntimeError(f"{digest} ended with {outcome!r}, and nobody attends")


def _in_flight_max() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits.PROBES_IN_FLIGHT_MAX
    return max(1, min(limits.PROBES_IN_FLIGHT_MAX, soft - limits.DESCRIPTORS_RESERVED))
