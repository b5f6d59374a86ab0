"""Check workers, real ones: what they find is judged as ever, and what becomes of their probes when
they are killed, stand still, or are to be fewer.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from checkers import wire
from checkers.base import Target
from checkers.check import Check
from checkers.health import State, Transition
from checkers.http import HttpOptions
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector import messages
from hadirector.config.loader import load
from hadirector.crew import Crew
from hadirector.watch import Patience
from tests.hadirector.config.test_loader import CONFIGS
from tests.hadirector.test_director import daemon, listening, port_of
from tests.hadirector.test_director_checks import reloaded

pytestmark = pytest.mark.timeout(60)  # processes are started, and the machine may be busy
BOUND_S = 50.0
TIMING = Timing(interval=0.5, timeout=0.5, rise=1, fall=1000)
"""A late answer on a busy machine takes nobody out."""


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not true():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(0.01)


class Judge:
    """A scheduler with a crew, and what it told."""

    def __init__(self, *, heartbeat_s: float = BOUND_S) -> None:
        self.notes: list[str] = []
        self.transitions: list[tuple[str, Transition]] = []
        patience = Patience(start_s=BOUND_S, heartbeat_s=heartbeat_s, stop_s=BOUND_S)
        self.crew = Crew(self.notes.append, patience)
        self.scheduler = Scheduler(
            lambda key, transition: self.transitions.append((key, transition)), runner=self.crew
        )

    @asynccontextmanager
    async def running(self, checks: dict[str, Check], workers: int) -> AsyncIterator[None]:
        self.crew.resize(workers)
        self.scheduler.update(checks)
        task = asyncio.create_task(self.scheduler.run())
        try:
            async with asyncio.timeout(BOUND_S):
                await self.scheduler.first_round.wait()
            yield
        finally:
            await self.scheduler.aclose()
            await task

    def pid(self, number: int) -> int:
        pid = self.crew.views[number - 1].pid
        assert pid is not None
        return pid

    def passed(self, key: str) -> int:
        return self.scheduler.view(key).passed

    async def all_up(self) -> None:
        await until(lambda: set(self.scheduler.states().values()) == {State.UP})

    async def all_pass_again(self, checks: Iterable[str]) -> None:
        counts = {key: self.passed(key) for key in checks}
        await until(lambda: all(self.passed(key) > counts[key] for key in counts))

    def downs(self) -> list[str]:
        """Which checks went from up to down."""
        told = self.transitions
        return [key for key, one in told if (one.before, one.after) == (State.UP, State.DOWN)]


def checks_of(port: int, number: int = 12) -> dict[str, Check]:
    """As many checks of one listener, by different addresses; every third asks for a page."""
    return {
        f"{last}": Check(
            f"{last}",
            Target(ip_address(f"127.0.0.{last}"), port),
            HttpOptions() if last % 3 == 0 else TcpOptions(),
            TIMING,
        )
        for last in range(1, number + 1)
    }


@asynccontextmanager
async def web(host: str = "0.0.0.0") -> AsyncIterator[asyncio.Server]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, host) as server:
        yield server


@pytest.mark.asyncio
async def test_a_killed_worker_takes_no_server_out_and_comes_back() -> None:
    async with web() as server:
        judge = Judge()
        checks = checks_of(port_of(server))
        async with judge.running(checks, 2):
            await judge.all_up()
            views = judge.crew.views
            assert sum(view.probes for view in views) == len(checks)
            assert all(view.probes for view in views)
            before = judge.pid(1)
            os.kill(before, signal.SIGKILL)
            await until(lambda: bool(judge.notes))
            lost = views[0].probes
            sentence = f"{lost} probes cannot be made until it runs again"
            assert judge.notes == [f"check worker 1 was killed by SIGKILL: {sentence}"]
            views_now = judge.scheduler.views
            told = Counter(views_now[key].error for key in checks)
            assert told == {None: 12 - lost, "check worker 1 was killed by SIGKILL": lost}
            await until(lambda: judge.crew.trouble is None)
            assert judge.pid(1) != before
            assert judge.crew.views[0].restarts == 1
            await judge.all_pass_again(checks)
            assert not any(judge.scheduler.view(key).error for key in checks)
        assert judge.downs() == []
        assert judge.notes[1].startswith("check worker 1 runs again (pid ")


@pytest.mark.asyncio
async def test_a_worker_that_stands_still_is_replaced() -> None:
    async with web() as server:
        judge = Judge(heartbeat_s=3.0)
        checks = checks_of(port_of(server), 4)
        async with judge.running(checks, 1):
            before = judge.pid(1)
            os.kill(before, signal.SIGSTOP)
            await until(lambda: bool(judge.notes) and not lives(before))
            assert "gave no sign of life for 3 s" in judge.notes[0]
            await judge.all_pass_again(checks)
            assert judge.downs() == []


@pytest.mark.asyncio
async def test_what_stays_is_not_disturbed_and_verdicts_fall_at_the_pace_of_the_state() -> None:
    async with web() as server, web("127.0.0.1") as other:
        judge = Judge()
        checks = checks_of(port_of(server))
        pace = Timing(interval=0.5, timeout=0.5, rise=1, fall=1, down_interval=60.0)
        checks["b"] = Check(
            "b", Target(ip_address("127.0.0.1"), port_of(other)), TcpOptions(), pace
        )
        async with judge.running(checks, 2):
            await judge.all_up()
            pids = [view.pid for view in judge.crew.views]
            other.close()
            await until(lambda: judge.scheduler.states()["b"] is State.DOWN)
            seen = judge.scheduler.view("b")
            assert "refused" in seen.sentence
            gone, stays = checks.pop("1"), judge.passed("2")
            judge.scheduler.update(checks)
            judge.scheduler.update({**checks, "1": gone})
            await until(lambda: judge.passed("1") > 1 and judge.passed("2") > stays)
            assert [view.pid for view in judge.crew.views] == pids
            # Down, it is looked at once a minute: the worker was told.
            assert judge.scheduler.view("b").failed <= seen.failed + 1
        assert judge.downs() == ["b"]
        assert judge.notes == []


@pytest.mark.asyncio
async def test_another_number_of_workers_keeps_every_verdict() -> None:
    async with web() as server:
        judge = Judge()
        checks = checks_of(port_of(server))
        async with judge.running(checks, 1):
            await judge.all_up()
            for workers in (0, 2):
                judge.crew.resize(workers)
                await judge.all_pass_again(checks)
                assert len(judge.crew.views) == workers
        assert judge.downs() == []
        assert judge.notes == []


ORPHANS = """
import asyncio, os, signal
from ipaddress import ip_address
from checkers.base import Target
from checkers.check import Check
from checkers.tcp import TcpOptions
from hadirector.crew import Crew

async def main():
    crew, heard, all_heard = Crew(print), set(), asyncio.Event()
    def tell(digest, outcome):
        heard.add(digest)
        if len(heard) == 20:
            all_heard.set()
        return 1.0
    crew.attend(tell, lambda digest, why: None)
    crew.resize(2)
    for last in range(20):
        check = Check("", Target(ip_address(f"127.0.0.{last}"), 1), TcpOptions())
        crew.take(check.digest, check, 1.0)
    task = asyncio.create_task(crew.run())
    await all_heard.wait()
    print(*(view.pid for view in crew.views), flush=True)
    os.kill(crew.views[1].pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
"""A director with two workers, of which one stands still, dies."""


@pytest.mark.asyncio
async def test_a_worker_ends_when_its_director_is_gone_whatever_ended_it() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHANS, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(BOUND_S):
        pids = [int(pid) for pid in (await process.stdout.readline()).split()]
        await process.wait()
    await until(lambda: not any(map(lives, pids)))


def lives(pid: int) -> bool:
    """Whether it is more than an entry that nobody has waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.asyncio
async def test_a_director_with_workers_tells_of_them_and_takes_another_number(
    tmp_path: Path,
) -> None:
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        async with daemon(tmp_path, ports) as one:
            await one.hears(messages.Ready)
            status = await one.until(lambda status: status["ready"])
            assert status["workers"] == []
            await reloaded(one, "defaults:", "workers: 2\ndefaults:")
            status = await one.until(lambda status: all(each["pid"] for each in status["workers"]))
            assert sum(each["probes"] for each in status["workers"]) == 2
            assert any("2 check workers" in sentence for sentence in await one.sentences())
            assert one.weights() == {f"127.0.0.1:{port}": 1 for port in ports}
            second.close()
            await one.until(lambda _: one.weights() == {f"127.0.0.1:{ports[0]}": 1})
            explained = await one.asked(f"/explain?what=web/127.0.0.1:{ports[1]}")
            assert any("connection refused (L4)" in sentence for sentence in explained["because"])
            os.kill(status["workers"][0]["pid"], signal.SIGKILL)
            os.kill(status["workers"][1]["pid"], signal.SIGKILL)
            await one.until(
                lambda status: (
                    [each["restarts"] for each in status["workers"]] == [1, 1]
                    and not status["trouble"]
                )
            )
            assert one.weights() == {f"127.0.0.1:{ports[0]}": 1}
            assert any("was killed by SIGKILL" in sentence for sentence in await one.sentences())
            await reloaded(one, "workers: 2", "workers: 0")
            assert (await one.asked("/status"))["workers"] == []
            first.close()
            await one.until(lambda _: one.weights() == {"127.0.0.1:9": 1})


def test_every_check_of_the_examples_can_be_told_to_a_worker() -> None:
    for example in sorted(CONFIGS.glob("*.yaml")):
        config = load(example).config
        assert config is not None
        for service in config.services:
            for server in service.checked:
                target = Target(server.address, server.port, service=service.name)
                for one in service.checks_of(server):
                    check = Check("a", target, one.options, one.timing)
                    sent = wire.Assigned(1, check.digest, check, 1.0)
                    message = wire.decode(wire.encode(wire.Take([sent])))
                    assert isinstance(message, wire.Take)
                    came = message.probes[0].check
                    assert came.options == check.options
                    assert came.timing == check.timing
                    assert came.endpoint == check.endpoint
