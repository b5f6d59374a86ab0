"""`hadirector apply` drains what it removes, on a real kernel with real clients.

How it works: the command runs as a process in a namespace that has clients, virtual address and
servers on its loopback interface; clients hold their connections while it waits for them.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.kernel.test_leaving import (
    FILE,
    FIRST,
    SECOND,
    connect,
    hear,
    network,
    open_to_web,
    rules,
    server,
)

__all__ = ["network"]  # the fixture: a namespace with these addresses

BOUND_S = 60
WITHOUT_FIRST = FILE.replace(f'"{FIRST}:8080", ', "")


async def apply(file: Path) -> Process:
    command = ("-m", "hadirector", "apply", str(file), "--yes", "--runtime-dir", str(file.parent))
    return await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=PIPE)


async def ended(process: Process) -> tuple[list[str], str]:
    """What it said; its exit code must be 0."""
    async with asyncio.timeout(BOUND_S):
        out, told = await process.communicate()
    assert process.returncode == 0, (out, told)
    return out.decode().splitlines(), told.decode()


async def waits(process: Process) -> str:
    """Its first word on standard error: whom it waits for."""
    assert process.stderr is not None
    async with asyncio.timeout(BOUND_S):
        return (await process.stderr.readline()).decode().strip()


def of_first() -> list[str]:
    return [rule for rule in rules() if f"{FIRST}:8080" in rule]


@pytest.mark.asyncio
async def test_it_waits_for_the_clients_and_goes_on_where_it_was_interrupted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(FILE + "drain_removed: 60s\n")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server(FIRST))
        await stack.enter_async_context(server(SECOND))
        assert (await ended(await apply(file)))[0][-1] == "applied: 3 of 3 steps"
        clients = [await open_to_web(stack) for _ in range(2)]
        of = {await hear(reader): (reader, writer) for reader, writer in clients}
        assert of.keys() == {FIRST, SECOND}
        reader, writer = of[FIRST]
        file.write_text(WITHOUT_FIRST + "drain_removed: 60s\n")
        told = "waits for 1 connection of what is removed, 60 s at most"

        first = await apply(file)
        assert await waits(first) == told
        [rule] = of_first()
        assert " -w 0" in rule
        assert {(await connect(stack))[0] for _ in range(3)} == {SECOND}
        first.send_signal(signal.SIGINT)
        async with asyncio.timeout(BOUND_S):
            await first.communicate()
        assert first.returncode != 0
        assert of_first() == [rule]

        second = await apply(file)
        assert await waits(second) == told
        writer.write(b"still there?\n")
        assert await hear(reader) == FIRST
        writer.close()
        out, _ = await ended(second)
        assert out[-1] == "applied: 1 of 1 steps"
        assert not of_first()
        assert (await ended(await apply(file)))[0][-1] == "applied: 0 of 0 steps"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("drain", "told"),
    [("1s", "removed with 1 connection left: its time is over"), ("0s", "")],
)
async def test_it_waits_no_longer_than_the_file_says(tmp_path: Path, drain: str, told: str) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(FILE + f"drain_removed: {drain}\n")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server(FIRST))
        await stack.enter_async_context(server(SECOND))
        await ended(await apply(file))
        clients = [await connect(stack) for _ in range(2)]
        assert {name for name, _ in clients} == {FIRST, SECOND}
        file.write_text(WITHOUT_FIRST + f"drain_removed: {drain}\n")
        _, heard = await ended(await apply(file))
        assert told in heard
        assert ("waits for 1 connection " in heard) == bool(told)
        assert not of_first()
