"""The child that carries out a drill, and puts it back whatever becomes of the command that began
it: `python -m hadirector.drill.keeper`.

It reads one line, the steps; then "begin", "enough" (a step need not last longer) and perhaps a
reason to abort; or "back" at once, where another one is gone that had begun them. Standard input
that ends means that the command is gone (Ctrl-C, kill -9, a lost terminal): then everything is put
back at once. It stands in a session of its own and takes no signal of a terminal, and the time of
the whole is limited. Should it be killed itself, the command that it has under way dies with it,
lest it go on while another one puts everything back. What it does is told on standard output, a
JSON object a line; nobody listening is no reason to stop. The faults that it makes end with the
host itself, too: nothing is written to disk.

Decisions are those of `sequence`.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hadirector.drill.sequence import (
    Action,
    Effect,
    End,
    Perform,
    PutBack,
    Run,
    Sequence,
    Signal,
    Step,
)

LINE_BYTES_MAX = 1 << 20
BEGIN, ENOUGH, BACK = "begin", "enough", "back"
SAID_BYTES_MAX = 4000
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE)
UNDO_TRIES = 3
UNDO_PAUSE_S = 1.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None)


def main() -> int:
    """Until the sequence has ended."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    orders = _Orders()
    first = orders.wait(None)
    if not first:
        return 0
    steps, limit_s = decode(first)
    sequence = Sequence(steps, limit_s=limit_s)
    effects: list[Effect] = []
    while True:
        for effect in effects:
            if isinstance(effect, End):
                _tell("end", why=effect.why)
                return 1 if effect.why else 0
        if effects:
            effects = _carry_out(effects[0], sequence)
            continue
        deadline = sequence.next_deadline()
        wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        order = orders.wait(wait_s)
        effects = _hear(order, sequence) if order is not None else []
        effects = effects or sequence.elapsed(time.monotonic())


def _hear(order: str, sequence: Sequence) -> list[Effect]:
    now = time.monotonic()
    if order == BEGIN:
        return sequence.begin(now)
    if order == ENOUGH:
        return sequence.enough(now)
    if order == BACK:
        return sequence.put_all_back("whoever carried it out is gone")
    return sequence.abort(order or "the command that began it is gone")


def _carry_out(effect: Effect, sequence: Sequence) -> list[Effect]:
    if isinstance(effect, Perform):
        step = sequence.steps[effect.number]
        _tell("step", text=step.text, at=time.time())
        done = Done() if step.act is None else perform(step.act)
        _tell("done", text=step.text, at=time.time(), said=done.said, why=done.why)
        return sequence.failed(done.why) if done.why else sequence.performed(time.monotonic())
    assert isinstance(effect, PutBack)
    step = sequence.steps[effect.number]
    assert step.undo is not None
    began_at, done = time.time(), Done()
    for attempt in range(UNDO_TRIES):
        done = perform(step.undo)
        if not done.why:
            break
        time.sleep(UNDO_PAUSE_S if attempt + 1 < UNDO_TRIES else 0)
    _tell("back", text=str(step.undo), at=began_at, said=done.said, why_not=done.why)
    return sequence.put_back(effect.number, why_not=done.why)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action: why it failed (empty: it did not), and what it said."""

    why: str = ""
    said: str = ""


def perform(action: Action) -> Done:
    """Carry out an action, within its bound."""
    if isinstance(action, Signal):
        if started_at(action.pid) != action.started:
            return Done("" if action.name == "SIGCONT" else f"process {action.pid} is gone")
        with suppress(ProcessLookupError):
            os.kill(action.pid, signal.Signals[action.name])
        return Done()
    keeper = os.getpid()

    def die_with_the_keeper() -> None:  # in the child, before it becomes the command
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:  # it was faster
            os._exit(1)

    try:
        done = subprocess.run(
            action.argv,
            preexec_fn=die_with_the_keeper,  # safe: there are no threads here
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=action.bound_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done(str(error))
    if done.returncode in action.statuses:
        return Done(said=done.stdout[:SAID_BYTES_MAX])
    said = " ".join((done.stderr or done.stdout).split())[:300]
    return Done(f"ended with status {done.returncode}: {said}")


def started_at(pid: int) -> int | None:
    """When a process began, in ticks since boot; None where there is none (proc(5), field 22)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


class _Orders:
    """Lines of standard input, with a time limit."""

    def __init__(self) -> None:
        self._unread = b""

    def wait(self, wait_s: float | None) -> str | None:
        """The next line; "" at the end of the input, None when nothing came in time."""
        until = None if wait_s is None else time.monotonic() + wait_s
        while b"\n" not in self._unread and len(self._unread) < LINE_BYTES_MAX:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([0], [], [], left)[0]:
                return None
            data = os.read(0, 65536)
            if not data:
                return ""
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()


def _tell(event: str, **facts: object) -> None:
    with suppress(OSError):
        os.write(1, json.dumps({"event": event, **facts}).encode() + b"\n")


def encode(steps: tuple[Step, ...], *, limit_s: float) -> str:
    """The line that a keeper reads first."""
    body = [
        {
            "text": step.text,
            "act": None if step.act is None else _plain(step.act),
            "undo": None if step.undo is None else _plain(step.undo),
            "hold_s": step.hold_s,
        }
        for step in steps
    ]
    return json.dumps({"steps": body, "limit_s": limit_s}) + "\n"


def _plain(action: Action) -> dict[str, Any]:
    return {"kind": type(action).__name__, **asdict(action)}


def decode(line: str) -> tuple[tuple[Step, ...], float]:
    """The steps of a line that `encode` made, and the limit of the whole in seconds."""
    body = json.loads(line)
    steps = tuple(
        Step(
            text=each["text"],
            act=None if each["act"] is None else _action(each["act"]),
            undo=None if each["undo"] is None else _action(each["undo"]),
            hold_s=each["hold_s"],
        )
        for each in body["steps"]
    )
    return steps, body["limit_s"]


def _action(plain: dict[str, Any]) -> Action:
    kind = plain.pop("kind")
    if kind == "Signal":
        return Signal(**plain)
    return Run(tuple(plain["argv"]), tuple(plain["statuses"]), plain["bound_s"])


if __name__ == "__main__":
    sys.exit(main())
