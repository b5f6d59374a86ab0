"""The helper that runs the hooks of services, as a process of its own: hooks that hang, webhooks
that do not answer as they should, the order, and what becomes of it all at the director's end.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from hadirector.hook_program import Failed, Run
from hadirector.hooks import Happened, Occasion, ServiceHook
from vrrp.turn import hooks_have_ended
from vrrp.typed_json import read_dataclass, read_line, write_line

BOUND_S = 15.0
USER = "root" if os.geteuid() == 0 else None
NOTE = 'read -r line; sleep "$1"; printf "%s\\n" "$HADIRECTOR_SERVER $2" >> '


def happened(service: str, server: str = "") -> Happened:
    event = Occasion.SERVER_DOWN
    return Happened(event=event, node="lb1", service=service, server=server, reason="so", at=1.0)


def shell(text: str, *words: str, timeout: float = 10.0, retries: int = 0) -> ServiceHook:
    command = ("/bin/sh", "-c", text, "hook", *words)
    return ServiceHook(command=command, user=USER, timeout=timeout, retries=retries)


class Helper:
    """A helper at work, as a director has one."""

    def __init__(self, whose: str) -> None:
        self._ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "hadirector.hook_program", str(theirs.fileno()), whose]
        with theirs:
            self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(sock=self._ours)

    def told(self, what: Happened, *hooks: ServiceHook) -> None:
        self._writer.write(write_line(Run(hooks=hooks, happened=what)))

    async def failed(self) -> Failed:
        """The next complaint."""
        line = await asyncio.wait_for(self._reader.readline(), BOUND_S)
        return cast(Failed, read_dataclass(Failed, read_line(line), "failed"))

    def leave(self) -> None:
        """The director is gone."""
        self._writer.close()


@asynccontextmanager
async def helper(whose: Path) -> AsyncIterator[Helper]:
    one = Helper(str(whose))
    await one.open()
    try:
        yield one
    finally:
        one.leave()
        try:
            await asyncio.to_thread(one.process.wait, BOUND_S)
        finally:
            one.process.kill()
            one.process.wait()


def read(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


async def lines_of(path: Path, count: int) -> list[str]:
    """The lines of a file once there are so many."""
    await until(lambda: len(read(path)) >= count)
    return read(path)


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only in the memory of its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.asyncio
async def test_a_hook_that_hangs_is_killed_with_all_it_started_and_the_next_one_runs(
    tmp_path: Path,
) -> None:
    pids, notes = tmp_path / "pids", tmp_path / "notes"
    hangs = shell(f"sleep 1000 & echo $! $$ > {pids}; wait", timeout=0.5)
    async with helper(tmp_path) as one:
        one.told(happened("web", "first"), hangs, shell(NOTE + str(notes), "0", "after"))
        failed = await one.failed()
        assert failed.service == "web"
        assert failed.sentence == "/bin/sh for server-down of web/first: killed after 500 ms"
        group = [int(pid) for pid in (await lines_of(pids, 1))[0].split()]
        await until(lambda: not any(map(lives, group)))
        assert await lines_of(notes, 1) == ["first after"]


@pytest.mark.asyncio
async def test_each_service_hears_in_order_and_none_waits_for_another_ones_hooks(
    tmp_path: Path,
) -> None:
    """The hook of the first thing is the slowest, and comes first all the same."""
    notes, other = tmp_path / "notes", tmp_path / "other"
    async with helper(tmp_path) as one:
        for number, server in enumerate("abcd"):
            slow = "0.5" if number == 0 else "0"
            hooks = [shell(NOTE + str(notes), slow, "one"), shell(NOTE + str(notes), "0", "two")]
            one.told(happened("web", server), *hooks)
        one.told(happened("mail", "m"), shell(NOTE + str(other), "0", f"; cat {notes}"))
        assert len(await lines_of(other, 1)) == 1
        assert not read(notes)  # the other service's was done before the slow one
        wanted = [f"{server} {word}" for server in "abcd" for word in ("one", "two")]
        assert await lines_of(notes, 8) == wanted


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(statuses: list[int], heard: list[object]) -> AsyncIterator[str]:
    """A web server that gives these answers, one after the other; 0: none. Its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        heard.append(json.loads(await reader.readexactly(length)))
        if status := statuses.pop(0):
            more = "Location: /elsewhere\r\n" if status == 302 else ""
            writer.write(f"HTTP/1.0 {status} so\r\n{more}Content-Length: 0\r\n\r\n".encode())
        else:
            await reader.read()  # until whoever asked is killed
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


@pytest.mark.asyncio
async def test_a_webhook_that_fails_is_tried_again_as_often_as_it_says(tmp_path: Path) -> None:
    """One errs and then answers, one always errs, one says nothing, one is gone, one has moved."""
    heard: dict[str, list[object]] = {"once": [], "always": [], "slow": [], "moved": []}
    with socket.create_server(("127.0.0.1", 0)) as closing:
        nobody = f"http://127.0.0.1:{closing.getsockname()[1]}/"
    async with (
        answering([500, 204], heard["once"]) as once,
        answering([503, 500, 200], heard["always"]) as always,
        answering([0, 0, 200], heard["slow"]) as slow,
        answering([302, 302, 200], heard["moved"]) as moved,
        helper(tmp_path) as one,
    ):
        urls = {"once": once, "always": always, "slow": slow, "refused": nobody, "moved": moved}
        for service, url in urls.items():
            one.told(happened(service), ServiceHook(webhook=url, timeout=0.5, retries=1))
        told: dict[str, list[str]] = {service: [] for service in urls}
        while sum(map(len, told.values())) < 9:
            failed = await one.failed()
            prefix = f"{urls[failed.service]} for server-down of {failed.service}: "
            told[failed.service].append(failed.sentence.removeprefix(prefix))
    assert told["once"] == ["exit code 1: answered 500 so"]
    assert told["always"] == ["exit code 1: answered 503 so", "exit code 1: answered 500 so"]
    assert all("timed out" in each or "killed after 500 ms" in each for each in told["slow"])
    assert told["moved"] == ["exit code 1: answered 302 so"] * 2
    assert all("Connection refused" in each for each in told["refused"])
    assert len(told["slow"]) == len(told["refused"]) == 2
    assert {service: len(bodies) for service, bodies in heard.items()} == dict.fromkeys(heard, 2)
    assert all(body == json.loads(happened("once").to_json()) for body in heard["once"])


def slow(notes: Path) -> ServiceHook:
    """Says that it has begun, and is done half a second later."""
    return shell(f"touch {notes}.begun; " + NOTE + str(notes), "0.5", "slow")


async def begun(notes: Path) -> None:
    await until(notes.with_name("notes.begun").exists)


@pytest.mark.asyncio
async def test_at_the_end_of_the_director_its_hooks_are_waited_for(tmp_path: Path) -> None:
    """The supervisor asks so at a stop."""
    notes = tmp_path / "notes"
    async with helper(tmp_path) as one:
        one.told(happened("web", "a"), slow(notes))
        one.told(happened("web", "b"), shell(NOTE + str(notes), "0", "waited"))
        await begun(notes)
        one.leave()
        assert await hooks_have_ended(str(tmp_path))
        assert read(notes) == ["a slow", "b waited"]


@pytest.mark.asyncio
async def test_after_a_crash_no_hook_of_the_new_director_runs_before_the_old_ones(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "notes"
    async with helper(tmp_path) as old, helper(tmp_path) as new:
        old.told(happened("web", "a"), slow(notes))
        await begun(notes)
        old.leave()
        new.told(happened("web", "b"), shell(NOTE + str(notes), "0", "new"))
        assert await lines_of(notes, 2) == ["a slow", "b new"]


@pytest.mark.asyncio
async def test_nobody_waits_where_no_hooks_run(tmp_path: Path) -> None:
    began = time.monotonic()
    assert await hooks_have_ended(str(tmp_path))
    assert time.monotonic() - began < 1
