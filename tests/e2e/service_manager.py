"""A stand-in for systemd, as far as drills meet it: one service, in a control group of its own.

The problem: a drill that stops the daemon's service asks `systemctl`, and knows the service by the
daemon's control group; where tests run, systemd is not the first process. The approach: this
process does with one unit what systemd does with the file in packaging: `Type=notify` (a start ends
with READY=1), `KillMode=control-group` (SIGTERM to every process there, SIGKILL after a bound),
`Restart=on-failure` with `RestartSec=1`. The control group is a real one, made in the kernel's
version 2 hierarchy; `systemctl` is a script in DIRECTORY/bin that asks here.

    python -m tests.e2e.service_manager DIRECTORY COMMAND...

It prints "ready", and ends, with everything in the group, when its standard input does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

UNIT = "hadirector.service"
STOP_S, RESTART_S, LOOK_S = 30.0, 1.0, 0.02
SYSTEMCTL = """\
#!{python}
import socket, sys
with socket.socket(socket.AF_UNIX) as manager:
    manager.connect("{place}")
    manager.sendall(" ".join(sys.argv[1:]).encode() + b"\\n")
    said = manager.makefile().read()
sys.exit(said or 0)
"""


class Unit:
    """The service: what is wanted of it, and what it is."""

    def __init__(self, command: list[str], group: Path, directory: Path) -> None:
        self._command = command
        self._group = group
        self._notify = directory / "notify"
        self._jobs = asyncio.Lock()  # a start waits for the stop before it, whoever asked for it
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()
        self._ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._ears.bind(str(self._notify))

    async def keep(self) -> None:
        """Run it whenever it is wanted."""
        asyncio.get_running_loop().add_reader(self._ears, self._hear)
        while True:
            await self._wanted.wait()
            self._gone.clear()
            enter = ("sh", "-c", 'echo $$ > "$0" && exec "$@"', self._group / "cgroup.procs")
            main = await asyncio.create_subprocess_exec(
                *enter, *self._command, env={**os.environ, "NOTIFY_SOCKET": str(self._notify)}
            )
            status = await main.wait()
            self._ready.clear()
            await self._end()
            self._gone.set()
            if status == 0:
                self._wanted.clear()
            if self._wanted.is_set():
                await asyncio.sleep(RESTART_S)

    async def start(self) -> None:
        """`systemctl start`: returns when it is ready."""
        async with self._jobs:
            self._wanted.set()
            await self._ready.wait()

    async def stop(self) -> None:
        """`systemctl stop`: returns when nothing of it is left."""
        async with self._jobs:
            self._wanted.clear()
            await self._end()
            await self._gone.wait()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One `systemctl`."""
        match (await reader.readline()).decode().split():
            case ["start", name] if name == UNIT:
                await self.start()
            case ["stop", name] if name == UNIT:
                await self.stop()
            case words:
                writer.write(f"not known here: {words}".encode())
        writer.close()

    def members(self) -> list[int]:
        """The processes in its control group."""
        return [int(pid) for pid in (self._group / "cgroup.procs").read_text().split()]

    async def _end(self) -> None:
        self._signal(signal.SIGTERM)
        give_up = asyncio.get_running_loop().time() + STOP_S
        while self.members():
            if asyncio.get_running_loop().time() > give_up:
                self._signal(signal.SIGKILL)
            await asyncio.sleep(LOOK_S)

    def _signal(self, number: int) -> None:
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _hear(self) -> None:
        if b"READY=1" in self._ears.recv(4096).split(b"\n"):
            self._ready.set()


def make_group(hierarchy: Path) -> Path:
    """The control group of the unit; `hierarchy` is seen in this mount namespace alone."""
    hierarchy.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", str(hierarchy)], check=True)
    group = hierarchy / f"hadirector-tests-{os.getpid()}" / UNIT
    group.mkdir(parents=True)
    return group


async def main(directory: Path, command: list[str]) -> None:
    """Until the end of the input."""
    (directory / "bin").mkdir(parents=True)
    place = directory / "manager"
    systemctl = directory / "bin" / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(python=sys.executable, place=place))
    systemctl.chmod(0o755)
    group = make_group(directory / "cgroup")
    try:
        unit = Unit(command, group, directory)
        keeping = asyncio.create_task(unit.keep())
        await asyncio.start_unix_server(unit.answer, place)
        await unit.start()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await unit.stop()
        keeping.cancel()
    finally:
        group.rmdir()
        group.parent.rmdir()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
