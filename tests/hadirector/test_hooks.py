"""Hooks of services: what is told, to whom, in which order; a real helper runs real programs."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hadirector import messages
from hadirector.hooks import Happened, Occasion, ServiceHook
from tests.hadirector.pair import write_pair
from tests.hadirector.test_director import Daemon, daemon, listening, port_of

NOTES = """\
#!/bin/sh
read -r line
printf '%s\\n' "$line" >> "$1"
printf '%s\\n' "$HADIRECTOR_EVENT $HADIRECTOR_SERVER $HADIRECTOR_REPLAYED" >> "$1.env"
exit "$2"
"""
Told = dict[str, Any]


def happened(event: Occasion, service: str = "web", server: str = "") -> Happened:
    return Happened(event=event, node="lb1", service=service, server=server, reason="so", at=1.0)


@pytest.mark.parametrize(
    ("hook", "wanted"),
    [
        (ServiceHook(command=("/x",)), True),
        (ServiceHook(command=("/x",), services=("web", "mail")), True),
        (ServiceHook(command=("/x",), services=("mail",)), False),
        (ServiceHook(command=("/x",), events=(Occasion.SERVER_DOWN,)), True),
        (ServiceHook(command=("/x",), events=(Occasion.QUORUM_LOST,)), False),
    ],
)
def test_a_hook_is_told_of_what_it_asked_for(hook: ServiceHook, wanted: bool) -> None:
    assert hook.wants(happened(Occasion.SERVER_DOWN, server="198.51.100.21:80")) is wanted


def test_an_event_is_told_as_json_and_as_environment() -> None:
    what = happened(Occasion.SERVER_DOWN, server="198.51.100.21:80")
    assert json.loads(what.to_json()) == {
        "event": "server-down",
        "node": "lb1",
        "service": "web",
        "server": "198.51.100.21:80",
        "reason": "so",
        "at": 1.0,
        "replayed": False,
    }
    assert what.variables()["HADIRECTOR_SERVER"] == "198.51.100.21:80"
    assert what.variables()["HADIRECTOR_REPLAYED"] == "0"
    assert str(what) == "server-down of web/198.51.100.21:80"


def noting(directory: Path) -> tuple[Path, Path]:
    """A program that notes what it is told, and where."""
    directory.chmod(0o755)
    program = directory / "note"
    program.write_text(NOTES)
    program.chmod(0o755)
    return program, directory / "told"


def noted(notes: Path) -> list[Told]:
    """What it was told so far."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [json.loads(line) for line in lines]


@asynccontextmanager
async def hooked(
    directory: Path, ports: list[int], *, more: str = "", code: int = 0
) -> AsyncIterator[tuple[Daemon, Path]]:
    """A director with a hook that notes what it is told; the hook comes with a reload."""
    program, notes = noting(directory)
    text = write_pair(directory / "pair.yaml", ports).read_text()
    async with daemon(directory, ports) as one:
        await one.hears(messages.Ready)
        user = "root" if os.geteuid() == 0 else ""
        one.file.write_text(
            f"{text}hooks:\n  - {{command: [{program}, {notes}, '{code}']"
            f"{user and ', user: ' + user}{more}}}\n"
        )
        reply = await one.asked("/reload", "POST")
        assert reply["changed"], reply
        yield one, notes


async def told(notes: Path, count: int) -> list[Told]:
    """What the hook was told, once it is so much."""
    async with asyncio.timeout(15):
        while True:
            if len(found := noted(notes)) >= count:
                return found
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_new_hooks_hear_how_things_are_and_then_what_happens_in_order(
    tmp_path: Path,
) -> None:
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        async with hooked(tmp_path, ports) as (_, notes):
            start = await told(notes, 3)
            assert [each["event"] for each in start] == ["quorum-met", "server-up", "server-up"]
            assert all(each["replayed"] for each in start)
            first.close()
            second.close()
            news = (await told(notes, 6))[3:]
            assert {each["event"] for each in news[:2]} <= {"server-down", "quorum-lost"}
            assert [each["event"] for each in news].count("server-down") == 2
            assert not any(each["replayed"] for each in news)
            assert "refused" in next(e for e in news if e["event"] == "server-down")["reason"]
            assert "server-down 127.0.0.1:" in (tmp_path / "told.env").read_text()


@pytest.mark.asyncio
async def test_a_hook_that_fails_is_journaled_and_tried_again_as_often_as_it_says(
    tmp_path: Path,
) -> None:
    async with listening() as server:
        more = ", events: [quorum-met], retries: 1"
        async with hooked(tmp_path, [port_of(server)], more=more, code=3) as (one, notes):
            assert len(await told(notes, 2)) == 2
            async with asyncio.timeout(10):
                while True:
                    failures = [s for s in await one.sentences() if "quorum-met of web" in s]
                    if len(failures) == 2:
                        break
                    await asyncio.sleep(0.02)
            assert all("exit code 3" in sentence for sentence in failures)


@pytest.mark.asyncio
async def test_a_program_that_others_may_write_to_is_refused_at_load(tmp_path: Path) -> None:
    async with listening() as server, hooked(tmp_path, [port_of(server)]) as (one, _):
        program = tmp_path / "note"
        program.chmod(program.stat().st_mode | stat.S_IWOTH)
        one.file.write_text(one.file.read_text() + "# the same otherwise\n")
        reply = await one.asked("/reload", "POST")
        assert not reply["accepted"]
        assert "can be written by others" in str(reply["diagnostics"])
