"""Running a program that somebody else wrote, without depending on its manners.

It may hang, fork, flood its output or never read its input. So it gets a process group of its own,
which is killed as a whole when the program has ended or its time is up; of its output only the
first bytes are kept and the rest is thrown away; and it never runs as root unless that was said.

This module never decides when to run something. It must not be used by a process that has to be on
time: starting a process takes milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from vrrp.events import format_duration

OUTPUT_BYTES_MAX: Final = 512
DEFAULT_USER: Final = "nobody"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK_BYTES: Final = 65536
_CHUNKS_PER_TURN_MAX: Final = 16
_DESCRIPTOR_MAX: Final = 65536


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended."""

    well: bool
    sentence: str
    """`exit code 1: no answer from 192.0.2.1`."""


async def run(
    what: Sequence[str] | Callable[[], int],
    *,
    timeout_s: float,
    user: str | None = None,
    given: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program to its end, or to the end of its time. Raises nothing but cancellation.

    Instead of a program it can be a function, which is run in a forked process and returns its exit
    code. `given` is the standard input. What is left running in the process group ends with it.
    """
    said = bytearray()
    with contextlib.ExitStack() as stack:
        try:
            process, output = _start(stack, what, user, given, variables or {})
        except (OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
            return Outcome(False, f"cannot be started: {error}")
        stack.enter_context(_hearing(output, said))
        try:
            async with asyncio.timeout(timeout_s):
                await _ended(process.pid)
        except TimeoutError:
            late = f"killed after {format_duration(timeout_s)}"
            return Outcome(False, _with_output(late, said))
        finally:
            _kill_group(process.pid)
            code = process.wait()  # at once: it has ended, or nothing can survive SIGKILL
        _read(output, said)
    if code == 0:
        return Outcome(True, _with_output("exit code 0", said))
    how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
    return Outcome(False, _with_output(how, said))


def _start(
    stack: contextlib.ExitStack,
    what: Sequence[str] | Callable[[], int],
    user: str | None,
    given: bytes,
    variables: Mapping[str, str],
) -> tuple[subprocess.Popen[bytes] | _Forked, int]:
    """Start it; return it and the end of the pipe that its output comes out of."""
    identity = _identity(user)
    # A file in memory: nobody has to wait until it is read.
    source = os.memfd_create("given")
    stack.callback(os.close, source)
    os.write(source, given)
    os.lseek(source, 0, os.SEEK_SET)
    output, their_output = os.pipe()
    stack.callback(os.close, output)
    process: subprocess.Popen[bytes] | _Forked
    try:
        if callable(what):
            process = _Forked(what, source, their_output, identity)
        else:
            process = subprocess.Popen(
                list(what),
                stdin=source,
                stdout=their_output,
                stderr=their_output,
                cwd="/",
                env={"PATH": _PATH, **variables},
                start_new_session=True,
                user=identity.user,
                group=identity.group,
                extra_groups=identity.groups,
            )
    finally:
        os.close(their_output)
    os.set_blocking(output, False)
    return process, output


class _Forked:
    """A function at work in a process of its own."""

    def __init__(
        self, function: Callable[[], int], source: int, output: int, identity: _Identity
    ) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            _become(function, source, output, identity)

    def wait(self) -> int:
        """Wait for the end and return the exit code; negative: the signal that killed it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _become(function: Callable[[], int], source: int, output: int, identity: _Identity) -> NoReturn:
    """In the forked process: run the function and nothing of the parent's."""
    code = 70  # EX_SOFTWARE
    try:
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        for descriptor, here in ((source, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, here)
        os.closerange(3, _DESCRIPTOR_MAX)
        os.chdir("/")
        if identity.groups is not None and identity.group is not None and identity.user is not None:
            os.setgroups(identity.groups)
            os.setgid(identity.group)
            os.setuid(identity.user)
        code = function()
    finally:
        os._exit(code)


async def _ended(pid: int) -> None:
    """Wait until a child of ours has ended, whoever else holds its pipes."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(pid)
    try:
        loop.add_reader(descriptor, _resolve, ended)
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _resolve(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


@contextlib.contextmanager
def _hearing(output: int, said: bytearray) -> Iterator[None]:
    """Take in output while the context lasts."""
    loop = asyncio.get_running_loop()

    def hear() -> None:
        if not _read(output, said):
            loop.remove_reader(output)

    loop.add_reader(output, hear)
    try:
        yield
    finally:
        loop.remove_reader(output)


def _read(output: int, said: bytearray) -> bool:
    """Keep the beginning of what there is and drop the rest; tell whether more can come."""
    for _ in range(_CHUNKS_PER_TURN_MAX):
        try:
            chunk = os.read(output, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        said += chunk[: OUTPUT_BYTES_MAX - len(said)]
    return True


@dataclass(frozen=True, slots=True)
class _Identity:
    """As whom to run; None: as ourselves."""

    user: int | None = None
    group: int | None = None
    groups: list[int] | None = None


def _identity(user: str | None) -> _Identity:
    """Return as whom to run. Raises LookupError for an unknown user."""
    if os.geteuid() != 0:
        return _Identity()  # without privileges there is nobody else to become
    name = user or DEFAULT_USER
    entry = pwd.getpwnam(name)
    if entry.pw_uid == 0:
        return _Identity()
    return _Identity(entry.pw_uid, entry.pw_gid, os.getgrouplist(name, entry.pw_gid))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _with_output(how: str, said: bytearray) -> str:
    text = " ".join(said.decode(errors="replace").split())
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return f"{how}: {shown}" if shown else how
