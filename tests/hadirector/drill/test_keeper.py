"""The keeper: a real process is stopped by it, and goes on whatever becomes of the command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hadirector.drill.keeper import BACK, BEGIN, decode, encode, started_at
from hadirector.drill.sequence import Run, Signal, Step

BOUND_S = 15.0


def state_of(pid: int) -> str:
    """`T` for stopped, `S` for sleeping: proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def victim() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def freezing(pid: int, *, hold_s: float = 30.0) -> tuple[Step, ...]:
    started = started_at(pid)
    assert started is not None
    stop, go_on = Signal(pid, started, "SIGSTOP"), Signal(pid, started, "SIGCONT")
    return (Step(text="freeze", act=stop, undo=go_on, hold_s=hold_s),)


def start(steps: tuple[Step, ...], *, order: str = BEGIN) -> subprocess.Popen[bytes]:
    keeper = subprocess.Popen(
        [sys.executable, "-m", "hadirector.drill.keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert keeper.stdin is not None
    keeper.stdin.write(encode(steps, limit_s=60).encode() + f"{order}\n".encode())
    keeper.stdin.flush()
    return keeper


def told(keeper: subprocess.Popen[bytes]) -> list[str]:
    assert keeper.stdout is not None
    said = [json.loads(line)["event"] for line in keeper.stdout]
    keeper.stdout.close()
    keeper.wait(BOUND_S)
    return said


def test_a_step_lasts_as_long_as_it_should_and_is_put_back(victim: int) -> None:
    with start(freezing(victim, hold_s=0.2)) as keeper:
        assert told(keeper) == ["step", "done", "back", "end"]
    assert keeper.returncode == 0
    assert state_of(victim) != "T"


@pytest.mark.parametrize("how", ["abort", "gone", "interrupt"])
def test_whoever_began_it_may_go_it_is_put_back(how: str, victim: int) -> None:
    with start(freezing(victim)) as keeper:
        until(lambda: state_of(victim) == "T")
        assert keeper.stdin is not None
        if how == "interrupt":  # of a terminal: it takes none, the end of its input counts
            os.kill(keeper.pid, signal.SIGINT)
        elif how == "abort":
            keeper.stdin.write(b"abort\n")
        keeper.stdin.close()
        assert told(keeper) == ["step", "done", "back", "end"]
        assert keeper.returncode == 1
    assert state_of(victim) != "T"


def test_a_process_of_another_beginning_is_left_alone(victim: int) -> None:
    (step,) = freezing(victim)
    assert isinstance(step.act, Signal)
    other = Signal(victim, step.act.started - 1, "SIGSTOP")
    with start((Step(text="freeze", act=other),)) as keeper:
        assert told(keeper) == ["step", "done", "end"]
        assert keeper.returncode == 1
    assert state_of(victim) != "T"


def test_a_command_with_another_status_ends_it() -> None:
    steps = (Step(text="try", act=Run(("false",))), Step(text="never", act=Run(("true",))))
    with start(steps) as keeper:
        assert told(keeper) == ["step", "done", "end"]
    assert keeper.returncode == 1


def test_steps_survive_their_line() -> None:
    steps = (
        Step(
            text="one", act=Run(("ip", "link"), (2,), 3.0), undo=Signal(1, 2, "SIGCONT"), hold_s=1.5
        ),
    )
    assert decode(encode(steps, limit_s=9)) == (steps, 9)


def test_where_a_keeper_was_killed_another_one_puts_everything_back(victim: int) -> None:
    with start(freezing(victim)) as keeper:
        until(lambda: state_of(victim) == "T")
        keeper.kill()
    assert state_of(victim) == "T"
    with start(freezing(victim), order=BACK) as other:
        assert told(other) == ["back", "end"]
    assert state_of(victim) != "T"


def test_enough_ends_what_lasts(victim: int) -> None:
    with start(freezing(victim)) as keeper:
        until(lambda: state_of(victim) == "T")
        assert keeper.stdin is not None
        keeper.stdin.write(b"enough\n")
        keeper.stdin.flush()
        assert told(keeper) == ["step", "done", "back", "end"]
        assert keeper.returncode == 0
    assert state_of(victim) != "T"
