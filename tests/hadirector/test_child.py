"""Child processes, real ones: greeted, listened to, killed when frozen, buried, started again."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hadirector.channel import Channel
from hadirector.child import Child, Role
from hadirector.watch import Patience, Watch

BOUND_S = 10.0
HEARTBEAT_S = 0.5  # how long the children of these tests may be silent


class Family:
    """One child and everything that its role was called with."""

    def __init__(
        self, behaviour: str = "orderly", *, stop_s: float = 5.0, module: str | None = None
    ) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.buried: asyncio.Queue[str] = asyncio.Queue()
        self.pids: list[int | None] = []
        self.alive_at_burial: list[bool] = []
        self._behaviour = behaviour
        role = Role(
            name="obedient",
            module=module or "tests.hadirector.obedient_child",
            greet=self._greet,
            hear=self._hear,
            bury=self._bury,
            goodbye=lambda reason: b"goodbye\n",
        )
        patience = Patience(start_s=BOUND_S, heartbeat_s=HEARTBEAT_S, stop_s=stop_s)
        self.watch = Watch(patience)
        self.child = Child(role, self.watch)

    def _greet(self) -> list[bytes]:
        self.pids.append(self.child.pid)
        return [f"{self._behaviour} {HEARTBEAT_S / 10}\n".encode()]

    def _hear(self, line: bytes) -> bool:
        if line != b"noise\n":
            self.heard.put_nowait(line)
        return line == b"heartbeat\n"

    async def _bury(self, how: str) -> None:
        self.alive_at_burial.append(bool(self.pids) and runs(self.pids[-1]))
        self.buried.put_nowait(how)

    @property
    def pid(self) -> int:
        assert self.child.pid is not None
        return self.child.pid

    async def says(self, line: bytes) -> None:
        async with asyncio.timeout(BOUND_S):
            while await self.heard.get() != line:
                pass

    async def buried_with(self) -> str:
        async with asyncio.timeout(BOUND_S):
            return await self.buried.get()


@asynccontextmanager
async def living(family: Family) -> AsyncIterator[asyncio.Task[None]]:
    running = asyncio.create_task(family.child.run())
    try:
        yield running
    finally:
        if family.child.pid is not None:
            os.kill(family.child.pid, signal.SIGKILL)
        family.child.stop("the test is over")
        async with asyncio.timeout(BOUND_S):
            await running


def runs(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return pid is not None


@pytest.mark.asyncio
async def test_a_child_is_greeted_and_lives_while_its_heart_beats() -> None:
    family = Family()
    async with living(family):
        await family.says(b"ready\n")
        began = time.monotonic()
        while time.monotonic() - began < 2 * HEARTBEAT_S:
            await family.says(b"heartbeat\n")
        assert family.buried.empty()
        assert family.pids == [family.pid]


@pytest.mark.asyncio
async def test_a_killed_child_is_buried_and_started_again_at_once() -> None:
    family = Family()
    async with living(family):
        await family.says(b"ready\n")
        os.kill(family.pid, signal.SIGKILL)
        assert await family.buried_with() == "was killed by SIGKILL"
        await family.says(b"ready\n")
        assert len(set(family.pids)) == 2
        assert family.watch.restarts == 1


@pytest.mark.asyncio
async def test_a_frozen_child_is_dead_before_it_is_buried() -> None:
    family = Family()
    async with living(family):
        await family.says(b"heartbeat\n")
        frozen_at = time.monotonic()
        os.kill(family.pid, signal.SIGSTOP)
        assert await family.buried_with() == f"gave no sign of life for {HEARTBEAT_S:g} s"
        assert HEARTBEAT_S * 0.8 <= time.monotonic() - frozen_at < BOUND_S / 2
        assert family.alive_at_burial == [False]


@pytest.mark.asyncio
async def test_a_child_that_talks_without_a_heartbeat_is_frozen_too() -> None:
    family = Family("chatty")
    async with living(family):
        await family.says(b"heartbeat\n")
        assert await family.buried_with() == f"gave no sign of life for {HEARTBEAT_S:g} s"


@pytest.mark.asyncio
async def test_nobody_is_killed_for_the_supervisors_own_delay() -> None:
    family = Family()
    async with living(family):
        for _ in range(3):
            await family.says(b"heartbeat\n")
            time.sleep(1.2 * HEARTBEAT_S)  # noqa: ASYNC251 - the loop is held up: that is the test
        await family.says(b"heartbeat\n")
        assert family.buried.empty()


@pytest.mark.asyncio
async def test_an_orderly_stop() -> None:
    family = Family()
    async with living(family) as running:
        await family.says(b"heartbeat\n")
        family.child.stop("SIGTERM")
        async with asyncio.timeout(BOUND_S):
            await running
        assert await family.buried_with() == "ended with status 0"
        assert len(family.pids) == 1


@pytest.mark.asyncio
async def test_a_child_that_ignores_the_stop_is_killed_at_its_bound() -> None:
    family = Family("deaf", stop_s=2 * HEARTBEAT_S)
    async with living(family) as running:
        await family.says(b"heartbeat\n")
        asked_at = time.monotonic()
        family.child.stop("SIGTERM")
        async with asyncio.timeout(BOUND_S):
            await running
        assert time.monotonic() - asked_at < BOUND_S / 2
        assert (
            await family.buried_with()
            == f"did not end within {2 * HEARTBEAT_S:g} s of being asked to"
        )
        assert family.alive_at_burial == [False]


@pytest.mark.asyncio
async def test_a_child_that_closes_its_channel_and_stays_is_killed() -> None:
    family = Family("closed")
    async with living(family):
        await family.says(b"ready\n")
        assert await family.buried_with() == "fell silent without ending, so it was killed"
        assert family.alive_at_burial == [False]


@pytest.mark.asyncio
async def test_repeated_deaths_are_delayed_and_a_stop_does_not_wait_for_the_delay() -> None:
    family = Family("short-lived")
    async with living(family) as running:
        ends = []
        for _ in range(3):
            assert await family.buried_with() == "ended with status 7"
            ends.append(time.monotonic())
        assert ends[2] - ends[1] >= 0.5
        family.child.stop("SIGTERM")  # now in its delay of 1 s
        async with asyncio.timeout(BOUND_S):
            await running
        assert time.monotonic() - ends[2] < 0.9


@pytest.mark.asyncio
async def test_a_stop_before_the_start_starts_nothing() -> None:
    family = Family()
    family.child.stop("SIGTERM")
    await family.child.run()
    assert family.pids == []


@pytest.mark.asyncio
async def test_a_stop_in_the_midst_of_the_start_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family()
    channel_over = Channel.over

    async def over(end: socket.socket) -> Channel:
        family.child.stop("SIGTERM")
        return await channel_over(end)

    monkeypatch.setattr(Channel, "over", over)
    async with living(family) as running, asyncio.timeout(BOUND_S):
        await running
    assert await family.buried_with() == "ended with status 0"


@pytest.mark.asyncio
async def test_a_process_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = Family()
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", "/nowhere/python")
        running = asyncio.create_task(family.child.run())
        told = await family.buried_with()
        assert told == "could not be started: No such file or directory"
    async with living_already(family, running):
        await family.says(b"ready\n")


@asynccontextmanager
async def living_already(family: Family, running: asyncio.Task[None]) -> AsyncIterator[None]:
    yield
    family.child.stop("the test is over")
    async with asyncio.timeout(BOUND_S):
        await running


# That nobody waits for the process is the point.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.asyncio
async def test_a_broken_supervisor_leaves_its_child_to_end_in_good_order() -> None:
    family = Family()
    running = asyncio.create_task(family.child.run())
    await family.says(b"ready\n")
    pidfd = os.pidfd_open(family.pid)
    # Waited for from here on: a Popen that is collected reaps its process if it has ended by then.
    end = asyncio.create_task(asyncio.to_thread(os.waitid, os.P_PIDFD, pidfd, os.WEXITED))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(BOUND_S):
        status = await end
    os.close(pidfd)
    assert status is not None
    assert (status.si_code, status.si_status) == (os.CLD_EXITED, 0)
    assert family.buried.empty()
