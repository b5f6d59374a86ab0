"""Network namespaces: enter one, run a command or a process in one, build and remove a world.

The problem: a world is many small changes in many namespaces, any of which can fail, and what is
left behind after a failure spoils the next run. The approach: one `ip -batch` per namespace, each
with a time limit and an error that names the line that failed; removal goes on after errors, kills
what still runs in the world's namespaces, and can be repeated.

A process started here belongs to its namespace because the calling thread entered it before the
fork; nothing is remounted, so /sys still shows the host's devices (read rtnetlink instead).

It must never: touch a namespace without the world's prefix, or leave the calling thread elsewhere.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shlex
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from hadirector.lab import commands
from hadirector.lab.errors import CommandFailed
from hadirector.lab.world import Machine, World

NAMESPACES: Final = Path("/run/netns")
COMMAND_BOUND_S: Final = 60.0
KILL_BOUND_S: Final = 5.0
CLONE_NEWNET: Final = 0x40000000
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(descriptor: int) -> None:
    # os.setns() exists from Python 3.12 on.
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def enter(namespace: str) -> None:
    """Move the calling thread into a namespace for good. Raises OSError."""
    descriptor = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread is in the namespace, and back afterwards.

    Sockets opened meanwhile stay there. Never await inside: other tasks would be there too.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def run_batch(batch: commands.Batch) -> None:
    """Run the lines of a batch. Raises CommandFailed, naming the line that failed."""
    where = [] if batch.namespace is None else ["-n", batch.namespace]
    argv = [batch.program, *where, "-batch", "-"]
    try:
        done = subprocess.run(
            argv,
            input="\n".join(batch.lines) + "\n",
            capture_output=True,
            text=True,
            timeout=COMMAND_BOUND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{shlex.join(argv)}: {error}") from error
    if done.returncode != 0:
        raise CommandFailed(explain_batch_failure(batch, done.stderr))


def explain_batch_failure(batch: commands.Batch, stderr: str) -> str:
    """A sentence with the command that failed; `ip` says only the number of its line."""
    reason, _, rest = stderr.partition("Command failed -:")
    number = rest.strip()
    line = f"(line {number or '?'})"
    if number.isdecimal() and 1 <= int(number) <= len(batch.lines):
        line = batch.lines[int(number) - 1]
    where = "" if batch.namespace is None else f"-n {batch.namespace} "
    return (
        f"`{batch.program} {where}{line}` failed: {' '.join(reason.split()) or 'no reason given'}"
    )


def write_sysctls(namespace: str, values: Mapping[str, str]) -> None:
    """Write values below /proc/sys of a namespace. Raises CommandFailed."""
    with inside(namespace):
        for path, value in values.items():
            try:
                Path("/proc/sys", path).write_text(value)
            except OSError as error:
                raise CommandFailed(f"sysctl {path}={value} in {namespace}: {error}") from error


class BuiltWorld:
    """A world that exists: machines with power and cables, and processes in them.

    Use it as a context manager; leaving it removes everything. Raises CommandFailed.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> Self:
        self.build()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.remove()

    def build(self) -> None:
        """Build everything; on an error remove what was built."""
        try:
            for step in commands.build_steps(self.world):
                if isinstance(step, commands.Batch):
                    run_batch(step)
                else:
                    write_sysctls(step.namespace, step.values)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Kill what runs in the world and remove it. Bounded, and may be called again."""
        names = [self.world.fabric, *(machine.namespace for machine in self.world.machines)]
        remove_namespaces([name for name in names if (NAMESPACES / name).exists()])

    def spawn(
        self,
        machine: Machine,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        output: IO[bytes] | int = subprocess.DEVNULL,
        workdir: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process on a machine, in a process group of its own; its output goes to `output`.

        Raises CommandFailed when it cannot be started.
        """
        try:
            with inside(machine.namespace):
                return subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=workdir,
                    start_new_session=True,
                )
        except OSError as error:
            raise CommandFailed(f"`{shlex.join(argv)}` on {machine.name}: {error}") from error

    def run(self, machine: Machine, argv: Sequence[str], *, bound_s: float = 10.0) -> str:
        """Run a command on a machine and return what it prints. Raises CommandFailed."""
        command = f"`{shlex.join(argv)}` on {machine.name}"
        try:
            with inside(machine.namespace):
                done = subprocess.run(
                    argv, capture_output=True, text=True, timeout=bound_s, check=False
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFailed(f"{command}: {error}") from error
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())
            raise CommandFailed(f"{command} ended with status {done.returncode}: {said}")
        return done.stdout

    def cut_cables(self, machine: Machine) -> None:
        """Pull all cables of a machine at once: the first half of a power loss."""
        self._switch_ports(machine, up=False)

    def plug_cables(self, machine: Machine) -> None:
        """Plug them in again."""
        self._switch_ports(machine, up=True)

    def _switch_ports(self, machine: Machine, *, up: bool) -> None:
        """At the bridges: the machine only sees its carrier go or come. Raises CommandFailed."""
        word = "up" if up else "down"
        # An `ip` process costs 100 ms in the embedded kernel, which would blur the moment.
        try:
            with (
                inside(self.world.fabric),
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_,
            ):
                for leg in machine.legs:
                    request = struct.pack("16sh22x", leg.port.encode(), 0)
                    flags = struct.unpack_from("16sh", fcntl.ioctl(any_, SIOCGIFFLAGS, request))[1]
                    flags = flags | IFF_UP if up else flags & ~IFF_UP
                    request = struct.pack("16sh22x", leg.port.encode(), flags)
                    fcntl.ioctl(any_, SIOCSIFFLAGS, request)
        except OSError as error:
            raise CommandFailed(f"cables of {machine.name} {word}: {error}") from error

    def kill_processes(self, machine: Machine) -> None:
        """Kill every process of a machine: the second half of a power loss."""
        kill_all(processes_in([machine.namespace]))

    def forget_addresses(self, machine: Machine) -> None:
        """Leave a machine only the addresses and routes it boots with (its IPVS table is kept)."""
        with inside(machine.namespace):
            there = {name for _, name in socket.if_nameindex()} & machine.made_devices
        if there:
            lines = tuple(f"link delete dev {name}" for name in sorted(there))
            run_batch(commands.Batch(machine.namespace, lines))
        run_batch(commands.restart_addresses(machine, self.world))


def remove_namespaces(names: Sequence[str]) -> None:
    """Kill what runs in some existing namespaces and remove them. Raises CommandFailed."""
    if names:
        kill_all(processes_in(names))
        run_batch(commands.Batch(None, tuple(f"netns del {name}" for name in names)))


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """The processes in some namespaces (not this one), by a look at all of /proc."""
    wanted = {(NAMESPACES / name).stat().st_ino for name in namespaces}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                number = (entry / "ns" / "net").stat().st_ino
            except OSError:
                continue  # it ended meanwhile
            if number in wanted:
                found.append(int(entry.name))
    return found


def kill_all(processes: Iterable[int]) -> None:
    """SIGKILL, and wait until they are gone or zombies (their parents reap them); bounded."""
    waiting = set(processes)
    for pid in waiting:
        _signal(pid)
    deadline = time.monotonic() + KILL_BOUND_S
    while waiting and time.monotonic() < deadline:
        waiting = {pid for pid in waiting if is_alive(pid)}
        if waiting:
            time.sleep(0.01)


def _signal(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
