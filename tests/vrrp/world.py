"""Hosts for tests: network namespaces, the links between them, and workers that run in them.

A host here is a network namespace kept open by one waiting process; it has no name in the file
system, so nothing is left over when that process ends, and tests never get into each other's way.
An ordinary user gets the privileges needed from a user namespace around all of it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.prerequisites import AS_USER
from vrrp.config import RouterSettings
from vrrp.messages import (
    Configure,
    Event,
    LastWill,
    Message,
    RouterReport,
    Timing,
    decode,
    encode,
)

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_S = 10.0
"""How long is waited for what should happen at once; only reached when it does not."""
_M = TypeVar("_M", RouterReport, Event, LastWill)


def eventually(holds: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    """Wait until something holds; fail with `what` if it does not in time."""
    give_up = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < give_up, f"not within {within_s} s: {what}"
        time.sleep(0.01)


@contextmanager
def open_place() -> Iterator[Path]:
    """A directory that everybody may look into and write to: hooks and scripts run as nobody.

    Not below pytest's own, which every session on this host closes to other users again.
    """
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


class Host:
    """A network namespace, and commands in it."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._enter: tuple[str, ...] = world.enter
        hold = [*world.enter, "unshare", "--net", "--mount", "sh", "-c", "echo ready; exec cat"]
        self._holder = subprocess.Popen(
            hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self._processes: list[subprocess.Popen[str]] = []
        self.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self.run("ip", "link", "set", "lo", "up")
        # IPv6 addresses work at once, not after a second of asking whether anyone has them.
        no_test = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"
        self.run("sh", "-c", f"test ! -d /proc/sys/net/ipv6 || {no_test}")

    @property
    def pid(self) -> int:
        """The process whose namespaces these are."""
        return self._holder.pid

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs `arguments` in this host."""
        inside = ("nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt")
        return [*self._enter, *inside, f"--wdns={PROJECT}", *arguments]

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command to its end and return what it printed."""
        outcome = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=15, check=False
        )
        assert not check or outcome.returncode == 0, (arguments, outcome.stderr)
        return outcome.stdout

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a process that is killed, at the latest, when the world ends."""
        process = subprocess.Popen(self.command(*arguments), text=True, **options)
        self._processes.append(process)
        return process

    def addresses(self, interface: str = "eth0") -> set[str]:
        """The IPv4 addresses of an interface, with prefix."""
        return self._addresses(4, interface)

    def addresses_6(self, interface: str = "eth0") -> set[str]:
        """The IPv6 addresses of an interface, with prefix."""
        return self._addresses(6, interface)

    def _addresses(self, family: int, interface: str) -> set[str]:
        shown = self.run("ip", "-json", f"-{family}", "address", "show", "dev", interface)
        return {
            f"{a['local']}/{a['prefixlen']}"
            for link in json.loads(shown)
            for a in link["addr_info"]
            if "local" in a
        }

    def arp_ignore(self, interface: str = "eth0") -> int:
        return int(self.run("cat", f"/proc/sys/net/ipv4/conf/{interface}/arp_ignore"))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._holder.kill()
        self._holder.communicate()


class World:
    """Some hosts. Use as a context manager."""

    def __init__(self) -> None:
        self.enter: tuple[str, ...] = ()
        self.hosts: list[Host] = []
        self._user: subprocess.Popen[str] | None = None

    def __enter__(self) -> World:
        if os.geteuid() != 0:
            hold = ["unshare", *AS_USER, "sh", "-c", "echo ready; exec cat"]
            pipe = subprocess.PIPE
            self._user = subprocess.Popen(hold, stdin=pipe, stdout=pipe, text=True)
            assert self._user.stdout is not None
            assert self._user.stdout.readline() == "ready\n"
            self.enter = ("nsenter", "--user", "--preserve-credentials", f"-t{self._user.pid}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for host in self.hosts:
            host.close()
        if self._user is not None:
            self._user.kill()
            self._user.communicate()

    def host(self, name: str) -> Host:
        """Add a host."""
        host = Host(self, name)
        self.hosts.append(host)
        return host

    def link(self, ends: dict[Host, str], interface: str = "eth0") -> None:
        """Join two hosts by a cable, with one address (and prefix) each."""
        (one, one_address), (other, other_address) = ends.items()
        peer = ("peer", "name", interface, "netns", str(other.pid))
        one.run("ip", "link", "add", interface, "type", "veth", *peer)
        for host, address in ((one, one_address), (other, other_address)):
            host.run("ip", "address", "add", address, "dev", interface)
            host.run("ip", "link", "set", interface, "up")


class WorkerProcess:
    """A `python -m vrrp.worker` in a host, with the test as its supervisor."""

    def __init__(self, host: Host, *routers: RouterSettings) -> None:
        self.host = host
        self.reports: dict[str, RouterReport] = {}
        self.events: list[Event] = []
        self.will = LastWill(routers=())
        self.heartbeats = 0
        self.timing: Timing | None = None
        self.ended = False
        ours, theirs = socket.socketpair()
        self.socket = ours
        with theirs:
            program = (sys.executable, "-W", "error", "-m", "vrrp.worker", str(theirs.fileno()))
            self.process = host.start(*program, pass_fds=(theirs.fileno(),))
        self._unread = b""
        self.configure(*routers)

    def configure(self, *routers: RouterSettings, heartbeat_s: float = 0.4) -> None:
        self.tell(Configure(routers=tuple(routers), heartbeat_s=heartbeat_s))

    def tell(self, message: Message) -> None:
        self.socket.sendall(encode(message))

    def wait(self, holds: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        """Take in messages until something holds."""
        give_up = time.monotonic() + within_s
        while not holds():
            left = give_up - time.monotonic()
            assert left > 0, f"not within {within_s} s: {what}; {self.reports} {self.events}"
            self._take_in(left)

    def wait_state(self, state: str, router: str = "front", within_s: float = PATIENCE_S) -> None:
        self.wait(lambda: self.state(router) == state, f"{router} is {state}", within_s)

    def wait_event(self, kind: str) -> Event:
        self.wait(lambda: any(event.kind == kind for event in self.events), f"event {kind}")
        return next(event for event in self.events if event.kind == kind)

    def state(self, router: str = "front") -> str | None:
        self._take_in(0.0)
        report = self.reports.get(router)
        return None if report is None else report.state.value

    def kinds(self) -> list[str]:
        self._take_in(0.0)
        return [event.kind for event in self.events]

    def kill(self) -> None:
        """End the process as a crash does, and take in what it had said until then."""
        self.process.kill()
        self.process.wait()
        self._take_in(PATIENCE_S)

    def close(self) -> None:
        self.socket.close()

    def _take_in(self, timeout_s: float) -> None:
        """Take in what has been said; wait `timeout_s` for it if there is nothing."""
        while not self.ended and select.select([self.socket], [], [], timeout_s)[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            self.ended = not data
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                self._note(decode(line))
            timeout_s = 0.0

    def _note(self, message: Message) -> None:
        match message:
            case RouterReport():
                self.reports[message.name] = message
            case Event():
                self.events.append(message)
            case Timing():
                self.timing = message
            case LastWill():
                self.will = message
            case _:
                self.heartbeats += 1


class Executor:
    """A process in a host that executes a will when told, as a supervisor that was there before."""

    _SCRIPT = (
        "import asyncio, sys; from vrrp import messages, will; print('ready', flush=True)\n"
        "for s in asyncio.run(will.execute(messages.decode(input().encode()))): print(s)"
    )

    def __init__(self, host: Host) -> None:
        pipe = subprocess.PIPE
        program = (sys.executable, "-W", "error", "-c", self._SCRIPT)
        self._process = host.start(*program, stdin=pipe, stdout=pipe)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def execute(self, will: LastWill) -> None:
        """Begin; `finish` waits for the end."""
        assert self._process.stdin is not None
        self._process.stdin.write(encode(will).decode())
        self._process.stdin.flush()

    def finish(self) -> list[str]:
        """Wait for the end and return the sentences."""
        output, _ = self._process.communicate(timeout=15)
        assert self._process.returncode == 0
        return output.splitlines()


StartWorker = Callable[..., WorkerProcess]
"""Takes a host, and the settings of virtual routers."""
