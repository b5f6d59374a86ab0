"""A scheduler whose probes do what a test says, and everything it told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from checkers.base import Probe, Reason, Result, Target
from checkers.check import Check
from checkers.health import Transition
from checkers.options import CheckOptions
from checkers.runner import LocalRunner
from checkers.scheduler import Scheduler
from checkers.timing import Timing

Script = Callable[[Target], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted(CheckOptions):
    """Options whose probe does what the test says, and writes down when."""

    script: Script = field(compare=False)
    started: list[tuple[float, str]] = field(compare=False)
    first_probe: asyncio.Event = field(compare=False)

    def make_probe(self) -> Probe:
        return _ScriptedProbe(self)


class _ScriptedProbe:
    def __init__(self, options: Scripted) -> None:
        self._options = options

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        loop = asyncio.get_running_loop()
        self._options.started.append((loop.time(), str(target.address)))
        self._options.first_probe.set()
        healthy = await self._options.script(target)
        return Result(
            healthy=healthy,
            reason=Reason.OK if healthy else Reason.L4_REFUSED,
            sentence="fine" if healthy else "refused",
            latency_ms=1.0,
            at=loop.time(),
        )


class World:
    """A scheduler, and everything it told."""

    def __init__(self, script: Script, *, in_flight_max: int | None = None) -> None:
        self.started: list[tuple[float, str]] = []
        self.first_probe = asyncio.Event()
        self.transitions: list[tuple[str, Transition]] = []
        self.results: list[tuple[str, Result]] = []
        self.errors: list[tuple[str, str]] = []
        self.options = Scripted(script=script, started=self.started, first_probe=self.first_probe)
        self.runner = LocalRunner(in_flight_max=in_flight_max)
        self.scheduler = Scheduler(
            lambda key, transition: self.transitions.append((key, transition)),
            lambda key, result: self.results.append((key, result)),
            lambda key, error: self.errors.append((key, str(error))),
            runner=self.runner,
            wall=lambda: 7.0,
        )

    def checks(self, number: int, timing: Timing = Timing()) -> dict[str, Check]:  # noqa: B008
        base = int(ip_address("10.0.0.0"))
        targets = [Target(ip_address(base + offset), 80) for offset in range(number)]
        return {
            str(target.address): Check(str(target.address), target, self.options, timing)
            for target in targets
        }

    def times(self, address: str = "10.0.0.0") -> list[float]:
        return [at for at, name in self.started if name == address]

    @asynccontextmanager
    async def running(
        self, checks: Mapping[str, Check], initially_up: Set[str] = frozenset()
    ) -> AsyncIterator[None]:
        self.scheduler.update(checks, initially_up)
        task = asyncio.create_task(self.scheduler.run())
        try:
            yield
        finally:
            await self.scheduler.aclose()
            await task
            assert self.scheduler.in_flight == 0


async def healthy(_: Target) -> bool:
    return True


async def refused(_: Target) -> bool:
    return False


KEY = "10.0.0.0"
