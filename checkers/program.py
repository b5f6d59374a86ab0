"""Running one program with bounds on its time, its output and its descendants.

A process file descriptor (pidfd_open(2)) tells the event loop of the program's end; no thread waits
and no signal handler is needed. The group is killed while its leader is not reaped yet, so that the
group's number cannot have been given to anybody else.

Must never leave a process of the group running, or wait for one that cannot die.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from checkers import limits
from checkers.base import Advice, ProbeError, Reason, Result
from checkers.recording import Failure, Recording, quoted
from checkers.trusted_file import refusal
from checkers.way import not_made

USER_DEFAULT = "nobody"

_READ_BYTES = 16_384
_WEIGHT_STATUS_MIN = 2


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, as whom, with which environment."""

    arguments: tuple[str, ...]
    user: str | None
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What exit statuses mean, the first that applies; all others are failures.

    `unable`: no verdict; `draining`: a pass that asks for no new clients; `passing`: a pass;
    `weights`: 2 to 255 are passes that ask for the weight 0 to 253.
    """

    passing: tuple[int, ...] = (0,)
    draining: tuple[int, ...] = ()
    unable: tuple[int, ...] = ()
    weights: bool = False


class _Running:
    """What runs now, to bound it, and what was killed but is not gone yet."""

    count = 0
    dying: ClassVar[list[subprocess.Popen[bytes]]] = []


def account(user: str | None) -> tuple[int, pwd.struct_passwd | None]:
    """User id and account a script runs as; no account where it runs as we do, or there is none."""
    if user is None and os.geteuid() != 0:
        return os.geteuid(), None
    try:
        found = pwd.getpwnam(user or USER_DEFAULT)
    except KeyError:
        return os.geteuid(), None
    return found.pw_uid, found


async def run(
    program: Program, timeout_s: float, meaning: Meaning, *, keep_transcript: bool
) -> Result:
    """Run it and judge its end. Raises ProbeError if it could not be started, or says so itself."""
    recording = Recording(keep_transcript=keep_transcript)
    _Running.dying = [process for process in _Running.dying if process.poll() is None]
    if _Running.count + len(_Running.dying) >= limits.SCRIPTS_AT_ONCE_MAX:
        raise ProbeError(f"{limits.SCRIPTS_AT_ONCE_MAX} scripts are running already")
    process = _start(program, recording)
    _Running.count += 1
    try:
        output = _Output(process)
        try:
            ended = await _await_end(process, timeout_s - recording.elapsed_s)
        finally:
            output.close()
    finally:
        _kill_group(process)
        _Running.count -= 1
    if output.kept:
        recording.note("< %s", quoted(output.kept, limits.TRANSCRIPT_LINE_CHARACTERS_MAX))
    if not ended:
        recording.check_punctual(timeout_s)
        more = ", and wrote more than anybody reads" if output.flooded else ""
        what = f"not finished within {timeout_s:g} s{more}: killed{output.quoted()}"
        return recording.failed(Failure(Reason.SCRIPT_TIMEOUT, what))
    return _judge(process.returncode, output, recording, meaning)


def _judge(status: int, output: _Output, recording: Recording, meaning: Meaning) -> Result:
    said = output.quoted()
    if status in meaning.unable:
        raise ProbeError(f"the script could not look: exit status {status}{said}")
    if status in meaning.draining:
        what = f"exit status {status}, asking for no new clients{said}"
        return recording.passed(what, Advice(drain=True))
    if status in meaning.passing:
        return recording.passed(f"exit status {status}{said}")
    if meaning.weights and status >= _WEIGHT_STATUS_MIN:
        weight = status - _WEIGHT_STATUS_MIN
        what = f"exit status {status}, asking for the weight {weight}{said}"
        return recording.passed(what, Advice(weight=weight))
    if status < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-status).name
            return recording.failed(Failure(Reason.SCRIPT_FAILED, f"died of {name}{said}"))
    return recording.failed(Failure(Reason.SCRIPT_FAILED, f"exit status {status}{said}"))


def _start(program: Program, recording: Recording) -> subprocess.Popen[bytes]:
    """The program in a session of its own. Raises ProbeError."""
    user_id, found = account(program.user)
    if found is None and (program.user is not None or os.geteuid() == 0):
        raise ProbeError(f"there is no user {program.user or USER_DEFAULT!r} on this host")
    if user_id == 0 and program.user != "root":
        raise ProbeError(f"the user {program.user or USER_DEFAULT!r} is root under another name")
    if user_id != os.geteuid() and os.geteuid() != 0:
        raise ProbeError(f"only root can run a script as {program.user}")
    sentence = refusal(program.arguments[0], user_id)
    if sentence is not None:
        raise ProbeError(sentence)
    other = found if user_id != os.geteuid() else None
    recording.note("run %s as user %s", program.arguments[0], user_id)
    try:
        return subprocess.Popen(
            program.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(program.environment),
            cwd="/",
            start_new_session=True,
            user=None if other is None else other.pw_uid,
            group=None if other is None else other.pw_gid,
            extra_groups=None if other is None else os.getgrouplist(other.pw_name, other.pw_gid),
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ProbeError(f"{program.arguments[0]} could not be started: {reason}") from error


async def _await_end(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether it ended in time. It is not reaped: its number stays its own."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError as error:
        raise not_made("the script cannot be watched", error) from error

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    try:
        loop.add_reader(descriptor, end)
        async with asyncio.timeout(timeout_s):
            await ended
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group, and reap its leader unless it cannot die now."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(limits.SCRIPT_DEATH_S)
    except subprocess.TimeoutExpired:  # it hangs in the kernel, as on a dead disk
        _Running.dying.append(process)


class _Output:
    """The beginning of what a program writes; the rest is read and forgotten, up to a bound."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.kept = b""
        self._read = 0
        self._pipe = process.stdout
        self._loop = asyncio.get_running_loop()
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._take)

    @property
    def flooded(self) -> bool:
        """Whether it wrote more than is read."""
        return self._read >= limits.SCRIPT_OUTPUT_READ_BYTES_MAX

    def quoted(self) -> str:
        """Its first line, for a sentence."""
        first = self.kept.strip().partition(b"\n")[0]
        return f": {quoted(first)}" if first else ""

    def close(self) -> None:
        """Take what is there already, and read no more."""
        while not self._pipe.closed and self._take():
            pass
        self._stop()

    def _take(self) -> bool:
        try:
            data = os.read(self._pipe.fileno(), _READ_BYTES)
        except OSError:  # nothing there
            return False
        self._read += len(data)
        self.kept += data[: limits.SCRIPT_OUTPUT_KEPT_BYTES_MAX - len(self.kept)]
        if self.flooded:
            self._loop.remove_reader(self._pipe.fileno())
            return False
        if not data:
            self._stop()
        return bool(data)

    def _stop(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
