"""A pair of directors with VRRP alone, ours or keepalived's, a switch between them, and a client.

Four network namespaces on this host. The address is answered by the kernel of whoever holds it. The
faults are done to the active director, the first one, and everything is put back afterwards.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hadirector.peer.material import make, utc_now
from tests.vrrp.world import Host, World
from vrrp.packet import MULTICAST_IPV4

KINDS = ("ours", "keepalived")
VIP = "192.0.2.100"
NAMES = ("lb1", "lb2")
SOURCES = {"lb1": "192.0.2.11", "lb2": "192.0.2.12"}
PRIORITIES = {"lb1": 101, "lb2": 100}
"""Low ones, so that the skew is long: what is said of them holds for better ones too."""
READY_S = 40.0
MULTICAST = f"{int.from_bytes(MULTICAST_IPV4.packed, sys.byteorder):08X}"
"""As /proc/net/igmp has it."""

OURS = """
nodes:
  lb1: {{address: 192.0.2.11, priority: 101}}
  lb2: {{address: 192.0.2.12, priority: 100}}
virtual_routers:
  - {{name: front, vrid: 51, interface: eth0, advertise: {ms:g}ms, addresses: [192.0.2.100/24]}}
services: []
{channel}
"""
CHANNEL = """
peer:
  certificate: "{0}/{{node}}.pem"
  key: "{0}/{{node}}.key"
  ca: "{0}/ca.pem"
"""
THEIRS = """
global_defs {{
    vrrp_version 3
    vrrp_garp_master_delay 1
}}
vrrp_instance front {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {seconds}
    virtual_ipaddress {{
        192.0.2.100/24
    }}
}}
"""


def what_is_missing() -> str | None:
    """What these benchmarks need and do not have here."""
    if shutil.which("keepalived") is None:
        return "keepalived is not installed: apt-get install keepalived"
    if os.geteuid() != 0:
        return "network namespaces and raw sockets need root: run it with sudo"
    return None


@dataclass(frozen=True)
class Measured:
    """What one fault cost, in milliseconds; None: it did not happen while was waited."""

    outage_ms: float | None
    peer_active_ms: float | None
    address_left_ms: float | None


class Pair:
    """Two directors of one kind at one interval. Use as a context manager."""

    def __init__(
        self,
        kind: str,
        interval_s: float,
        directory: Path,
        *,
        names: tuple[str, ...] = NAMES,
        channel: bool = False,
    ) -> None:
        """`names`: which of the two directors are there. `channel`: ours have a peer channel."""
        self._names = names
        self._channel = ""
        if channel and kind == "ours":
            make(names, directory / "peer", now=utc_now())
            self._channel = CHANNEL.format(directory / "peer")
        self.kind = kind
        self.interval_s = interval_s
        self._directory = directory
        self._world = World()
        self._programs: dict[str, subprocess.Popen[str]] = {}
        self._adverts: list[tuple[float, str, int]] = []
        self._sent: list[float] = []
        self._answered: list[float] = []
        self._left: list[float] = []
        self._began = 0.0  # when the last fault was made

    def __enter__(self) -> Pair:
        self._world.__enter__()
        self.switch = self._world.host("switch")
        self.hosts = {name: self._world.host(name) for name in (*self._names, "client")}
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        self.switch.run("ip", "link", "set", "br0", "up")
        for name, host in self.hosts.items():
            self._plug(name, host)
        for name in self._names:
            self.start(name)
        period_ms = "1" if self.interval_s < 0.1 else "2"
        self._follow(
            self.hosts["client"],
            [sys.executable, "-m", "tests.bench.observer", "eth0", VIP, period_ms],
            self._observed,
        )
        monitor = ["ip", "-o", "monitor", "address"]
        self._follow(self.hosts["lb1"], monitor, self._address_moved)
        self.wait_ready()
        return self

    def __exit__(self, *error: object) -> None:
        for name in self._names:
            self.stop(name)
        self._world.__exit__(None, None, None)

    # ------------------------------------------------------------------- the pair

    def start(self, name: str) -> None:
        """Start a director's daemon."""
        place = self._place(name)
        place.mkdir(exist_ok=True)
        file = place / "configuration"
        if self.kind == "ours":
            file.write_text(OURS.format(ms=self.interval_s * 1000, channel=self._channel))
            run = [sys.executable, "-m", "hadirector", "run", str(file), "--node", name]
            command = [*run, "--state-dir", str(place), "--runtime-dir", str(place / "run")]
        else:
            values = {"priority": PRIORITIES[name], "seconds": self.interval_s}
            file.write_text(THEIRS.format(**values))
            ids = ["-p", str(place / "pid"), "-r", str(place / "vrrp.pid")]
            command = ["keepalived", "-n", "-l", "-G", "-P", "-f", str(file), *ids]
        with (place / "log").open("a") as log:
            self._programs[name] = self.hosts[name].start(*command, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        """End it in good order."""
        program = self._programs.pop(name, None)
        if program is not None:
            with suppress(ProcessLookupError):
                os.kill(self.vrrp_pid(program), signal.SIGCONT)
            program.terminate()
            try:
                program.wait(timeout=10)
            except subprocess.TimeoutExpired:
                program.kill()

    def _place(self, name: str) -> Path:
        return self._directory / f"{self.kind}-{self.interval_s:g}-{name}"

    def vrrp_pid(self, program: subprocess.Popen[str] | None = None) -> int:
        """The process that speaks VRRP on the first director (or of a daemon)."""
        parent = (program or self._programs["lb1"]).pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in map(int, children):
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if self.kind == "keepalived" or b"vrrp.worker" in words:
                return child
        raise ProcessLookupError("there is no VRRP process")

    def wait_ready(self) -> None:
        """Wait until the first director alone is active, all listen and clients are answered."""
        give_up = time.monotonic() + READY_S
        calm_s = max(4 * self.interval_s, 0.5)
        listened_since = time.monotonic()
        while time.monotonic() < give_up:
            time.sleep(0.05)
            now = time.monotonic()
            recent = {s for at, s, priority in self._adverts if priority and at > now - calm_s}
            answered = self._answered and self._answered[-1] > now - 0.1
            lives = self._programs["lb1"].poll() is None
            if recent != {SOURCES["lb1"]} or not answered or not lives or not self._all_listen():
                listened_since = now
            elif now > listened_since + calm_s:
                return
        raise TimeoutError(f"{self.kind} at {self.interval_s} s: the pair does not come to rest")

    def _all_listen(self) -> bool:
        """Whether every director is in the multicast group of VRRP."""
        tables = (Path(f"/proc/{self.hosts[name].pid}/net/igmp") for name in self._names)
        return all(MULTICAST in table.read_text() for table in tables)

    # ----------------------------------------------------------------- the faults

    def cut(self) -> Callable[[], None]:
        """Pull the cable of the active director out of the switch."""
        self._began = time.monotonic()
        self.switch.run("ip", "link", "set", "lb1", "down")
        return self._plug_in_again

    def graceful(self) -> Callable[[], None]:
        """Stop the active director in good order."""
        self._began = time.monotonic()
        self._programs["lb1"].terminate()
        return self._restart

    def switchover(self) -> Callable[[], None]:
        """Relieve the active director as planned: by our command, or by stopping keepalived."""
        if self.kind != "ours":
            return self.graceful()
        self._began = time.monotonic()
        self._switch_over("lb2")
        return lambda: self._switch_over("lb1")

    def _switch_over(self, to: str) -> None:
        runtime_dir = str(self._place("lb1") / "run")
        command = [sys.executable, "-m", "hadirector", "switchover", "--to", to]
        self.hosts["lb1"].run(*command, "--runtime-dir", runtime_dir)

    def kill(self) -> Callable[[], None]:
        """kill -9 of its VRRP process; what started it lives."""
        victim = self.vrrp_pid()
        self._began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return lambda: None

    def freeze(self) -> Callable[[], None]:
        """SIGSTOP of its VRRP process."""
        frozen = self.vrrp_pid()
        self._began = time.monotonic()
        os.kill(frozen, signal.SIGSTOP)

        def thaw() -> None:
            with suppress(ProcessLookupError):
                os.kill(frozen, signal.SIGCONT)

        return thaw

    def measure(self, fault: Callable[[], Callable[[], None]], phase: float) -> Measured:
        """Do a fault, wait until its effects are over, and put everything back.

        `phase` is the moment of the interval, 0 to 1: what is lost depends on it, by an interval.
        """
        self.wait_ready()
        heard = len(self._adverts)
        while len(self._adverts) == heard:
            time.sleep(0.0005)
        time.sleep(max(0.0, self._adverts[-1][0] + phase * self.interval_s - time.monotonic()))
        put_back = fault()
        began = self._began
        time.sleep(4 * self.interval_s + 1.5)
        ended = time.monotonic()
        peers = [
            at
            for at, source, priority in self._adverts
            if source == SOURCES["lb2"] and priority and at > began
        ]
        left = [at for at in self._left if at > began]
        put_back()
        return Measured(
            outage_ms=self.outage_ms(began, ended - 0.2),
            peer_active_ms=(peers[0] - began) * 1000 if peers else None,
            address_left_ms=(left[0] - began) * 1000 if left else None,
        )

    def outage_ms(self, began: float, ended: float) -> float | None:
        """The longest time from a request that was lost to the next one that was not.

        Not the longest gap between answers: where the client itself stood still, nothing was lost.
        """
        answered, worst_s, lost_since = set(self._answered), 0.0, None
        for at in [at for at in self._sent if began - 0.2 < at < ended]:
            if at not in answered:
                lost_since = at if lost_since is None else lost_since
            elif lost_since is not None:
                worst_s, lost_since = max(worst_s, at - lost_since), None
        return None if lost_since is not None else worst_s * 1000

    def adverts(self, began: float, ended: float) -> list[tuple[float, str]]:
        """When somebody advertised, and who; goodbyes are none."""
        return [
            (at, source)
            for at, source, priority in self._adverts
            if priority and began < at < ended
        ]

    def advert_lateness_ms(self, seconds: float) -> list[float]:
        """How much later than the interval each advert came after the one before it."""
        began = time.monotonic()
        time.sleep(seconds)
        times = [at for at, _, _ in self._adverts if at > began]
        return [(b - a - self.interval_s) * 1000 for a, b in pairwise(times)]

    # ---------------------------------------------------------------- inner works

    def _plug(self, name: str, host: Host) -> None:
        end = ("peer", "name", "eth0", "netns", str(host.pid))
        self.switch.run("ip", "link", "add", name, "type", "veth", *end)
        self.switch.run("ip", "link", "set", name, "master", "br0", "up")
        address = SOURCES.get(name, "192.0.2.20")
        host.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")

    def _plug_in_again(self) -> None:
        self.switch.run("ip", "link", "set", "lb1", "up")

    def _restart(self) -> None:
        self._programs["lb1"].wait(timeout=10)
        self.start("lb1")

    def _follow(self, host: Host, command: list[str], told: Callable[[str], None]) -> None:
        pipe = subprocess.PIPE
        program = host.start(*command, stdin=pipe, stdout=pipe)

        def read() -> None:
            assert program.stdout is not None
            with suppress(ValueError):  # closed at the end
                for line in program.stdout:
                    told(line)

        threading.Thread(target=read, daemon=True).start()

    def _observed(self, line: str) -> None:
        at, kind, *rest = line.split()
        if kind == "sent":
            self._sent.append(float(at))
        elif kind == "answered":
            self._answered.append(float(at))
        elif rest[0] in SOURCES.values():
            self._adverts.append((float(at), rest[0], int(rest[1])))

    def _address_moved(self, line: str) -> None:
        if line.startswith("Deleted") and f" {VIP}/" in line:
            self._left.append(time.monotonic())
