"""Programs of other people: they hang, fork, flood, and are never waited for too long."""

import os
import time
from pathlib import Path

import pytest

from tests.prerequisites import require
from tests.vrrp.world import eventually
from vrrp.command import OUTPUT_BYTES_MAX, run


def sh(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


@pytest.mark.asyncio
async def test_says_how_it_ended() -> None:
    assert (await run(sh("echo fine"), timeout_s=5)).sentence == "exit code 0: fine"
    outcome = await run(sh("echo no answer >&2; exit 3"), timeout_s=5)
    assert (outcome.well, outcome.sentence) == (False, "exit code 3: no answer")
    assert (await run(sh("kill -9 $$"), timeout_s=5)).sentence == "killed by signal 9"


@pytest.mark.asyncio
async def test_what_cannot_be_started_is_said() -> None:
    outcome = await run(("/nonexistent",), timeout_s=5)
    assert outcome.sentence.startswith("cannot be started: ")
    if os.geteuid() == 0:
        outcome = await run(("/bin/true",), timeout_s=5, user="nobody-knows-him")
        assert "nobody-knows-him" in outcome.sentence


@pytest.mark.asyncio
async def test_gets_input_and_variables() -> None:
    outcome = await run(
        sh('cat; echo "/$WHAT"'), timeout_s=5, given=b"event", variables={"WHAT": "state"}
    )
    assert outcome.sentence == "exit code 0: event/state"


@pytest.mark.asyncio
async def test_one_that_hangs_is_killed_with_all_it_started() -> None:
    began = time.monotonic()
    outcome = await run(sh("sleep 60 & echo $!; sleep 60"), timeout_s=0.5)
    assert time.monotonic() - began < 5
    how, _, pid = outcome.sentence.partition(": ")
    assert how == "killed after 500 ms"
    eventually(lambda: not _lives(int(pid)), "the program in the background is dead")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.asyncio
async def test_one_that_leaves_another_behind_is_not_waited_for() -> None:
    began = time.monotonic()
    assert (await run(sh("sleep 60 & echo done"), timeout_s=30)).sentence == "exit code 0: done"
    assert time.monotonic() - began < 5


@pytest.mark.asyncio
async def test_a_flood_is_thrown_away() -> None:
    outcome = await run(sh("head -c 5000000 /dev/zero | tr '\\0' x; exit 1"), timeout_s=10)
    assert outcome.sentence == f"exit code 1: {'x' * OUTPUT_BYTES_MAX}"


@pytest.mark.asyncio
async def test_does_not_run_as_root_unless_that_is_said() -> None:
    require(root=True)
    assert (await run(sh("id -un; id -Gn"), timeout_s=5)).sentence == "exit code 0: nobody nogroup"
    assert (await run(sh("id -un"), timeout_s=5, user="root")).sentence == "exit code 0: root"


@pytest.mark.asyncio
async def test_a_function_is_run_in_a_process_of_its_own() -> None:
    def say() -> int:
        os.write(1, f"{os.read(0, 100).decode()} {os.getsid(0) == os.getpid()}".encode())
        return 3

    assert (await run(say, timeout_s=5, given=b"event")).sentence == "exit code 3: event True"
    outcome = await run(_hang, timeout_s=0.3)
    assert outcome.sentence == "killed after 300 ms"


def _hang() -> int:
    time.sleep(60)
    return 0


def _fail() -> int:
    raise RuntimeError


@pytest.mark.asyncio
async def test_a_function_that_raises_ends_its_process_only() -> None:
    assert (await run(_fail, timeout_s=5)).sentence == "exit code 70"
