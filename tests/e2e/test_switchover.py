"""A planned switchover of a real pair, seen by a client: no answer is missing for long.

How it works: two directors as users start them, in network namespaces of this host, on one switch
with a client; VRRP and the peer channel need no IPVS. The client connects to a closed port of the
virtual address again and again: whoever holds it refuses, and every refusal is an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hadirector.peer.material import make, utc_now
from tests.prerequisites import require
from tests.vrrp.world import Host, World, eventually

VIP = "192.0.2.100/24"
ADDRESSES = {"lb1": "192.0.2.11", "lb2": "192.0.2.12"}
PROGRAM = (sys.executable, "-W", "error", "-m", "hadirector")
OUTAGE_MS_MAX = 500.0
"""On a busy machine; a quiet one takes a few milliseconds (tests/bench)."""
CLIENT = """
import select, socket, sys, time
last, worst = time.monotonic(), 0.0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    with socket.socket() as probe:
        probe.settimeout(0.004)
        try:
            probe.connect(("192.0.2.100", 9))
        except ConnectionRefusedError:
            now = time.monotonic()
            worst, last = max(worst, now - last), now
        except OSError:
            pass
    time.sleep(0.001)
print(max(worst, time.monotonic() - last) * 1000)
"""


class Pair:
    """Both directors, and the client."""

    def __init__(self, directory: Path, world: World, router: str) -> None:
        make(ADDRESSES, directory / "peer", now=utc_now())
        self.directory = directory
        self.file = directory / "pair.yaml"
        self.file.write_text(f"""
nodes:
  lb1: {{address: 192.0.2.11, priority: 254}}
  lb2: {{address: 192.0.2.12, priority: 253}}
virtual_routers:
  - {{name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]{router}}}
peer:
  certificate: {directory}/peer/{{node}}.pem
  key: {directory}/peer/{{node}}.key
  ca: {directory}/peer/ca.pem
services: []
""")
        self.client = world.host("client")
        self.client.run("ip", "link", "add", "br0", "up", "type", "bridge")
        self.client.run("ip", "address", "add", "192.0.2.1/24", "dev", "br0")
        self.hosts: dict[str, Host] = {}
        self.daemons: dict[str, subprocess.Popen[str]] = {}
        for name, address in ADDRESSES.items():
            host = self.hosts[name] = world.host(name)
            ends = ("type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
            self.client.run("ip", "link", "add", name, "up", "master", "br0", *ends)
            host.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
            host.run("ip", "link", "set", "eth0", "up")
            self.start(name)
            # Without preemption, the first one to be active stays so.
            eventually(lambda: self.active() == ["lb1"], "lb1 is active", 20.0)

    def command(self, name: str) -> tuple[str, ...]:
        """What runs a director."""
        state = ("--state-dir", str(self.directory / name))
        return (*PROGRAM, "run", str(self.file), "--node", name, *state)

    def start(self, name: str) -> None:
        with (self.directory / f"{name}.log").open("a") as log:
            self.daemons[name] = self.hosts[name].start(*self.command(name), stdout=log, stderr=log)

    def ask(self, name: str, *words: str) -> dict[str, Any]:
        """What a command on a director says, as JSON."""
        said = self.hosts[name].run(*PROGRAM, *words, "--json", check=False)
        return json.loads(said) if said else {}

    def active(self) -> list[str]:
        return [name for name, host in self.hosts.items() if VIP in host.addresses()]

    def settles(self, name: str) -> None:
        """Wait until a director alone is active, and both hear each other."""
        eventually(lambda: self.active() == [name], f"{name} is active alone", 20.0)
        for each in self.hosts:
            eventually(partial(self._knows, each, name), f"{each} knows of {name}", 20.0)

    def _knows(self, name: str, active: str) -> bool:
        """Whether a director hears the other one, on the channel and by VRRP."""
        status = self.ask(name, "status")
        routers = (status.get("peer") or {}).get("routers")
        return bool(routers) and bool(name == active or status["routers"][0]["active_peer"])

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """Have the client ask all the while; its longest time without an answer, in ms."""
        pipe = subprocess.PIPE
        client = self.client.start(sys.executable, "-c", CLIENT, stdin=pipe, stdout=pipe)
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        outage: list[float] = []
        yield outage
        outage.append(float(client.communicate()[0]))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("router", ["", ", preempt: false"], ids=["preempt", "no-preempt"])
def test_there_and_back_without_an_outage(tmp_path: Path, router: str) -> None:
    require(namespaces=True)
    with World() as world:
        pair = Pair(tmp_path, world, router)
        pair.settles("lb1")
        with pair.watched() as outage:
            told = pair.ask("lb1", "switchover")
            assert told["done"], told
            assert pair.active() == ["lb2"]
        assert outage[0] < OUTAGE_MS_MAX
        print(f"outage {outage[0]:.1f} ms, {told['phases']}")
        [front] = pair.ask("lb1", "status")["routers"]
        assert "252 at most: lb2 was given the active role by root" in front["arithmetic"]
        assert pair.active() == ["lb2"]  # although lb1 has the higher priority
        told = pair.ask("lb1", "switchover", "--to", "lb1")
        assert told["done"], told
        assert pair.active() == ["lb1"]
        for name in pair.hosts:
            [front] = pair.ask(name, "status")["routers"]
            assert "at most" not in front["arithmetic"]
    for name in ADDRESSES:
        assert "Traceback" not in (tmp_path / f"{name}.log").read_text()


@pytest.mark.timeout(120)
def test_a_channel_that_fails_is_told_by_its_cause_and_changes_no_role(tmp_path: Path) -> None:
    require(namespaces=True)
    with World() as world:
        pair = Pair(tmp_path, world, "")
        pair.settles("lb1")
        make(ADDRESSES, tmp_path / "others", now=utc_now())
        for kind in ("pem", "key"):  # from the next connection on
            (tmp_path / "others" / f"lb2.{kind}").replace(tmp_path / "peer" / f"lb2.{kind}")
        director = pair.ask("lb2", "status")["processes"]["director"]["pid"]
        pair.hosts["lb2"].run("kill", "-9", str(director))

        def refusals() -> dict[str, int]:
            peer = pair.ask("lb1", "status").get("peer") or {}
            return dict(peer.get("refused", {}))

        eventually(lambda: "certificate" in refusals(), "lb1 tells of the certificate", 20.0)
        refused = pair.ask("lb1", "switchover")
        assert not refused["done"]
        assert refused["missing"][0].startswith("lb2 is not heard on the peer channel")
        [trouble] = pair.ask("lb1", "status")["trouble"]
        assert "certificate" in trouble
        assert pair.active() == ["lb1"]
        lines = pair.hosts["lb1"].run(*PROGRAM, "events", "--json").splitlines()
        changes = [one for one in map(json.loads, lines) if one["kind"] == "transition"]
        assert changes[-1]["sentence"].startswith("backup to active")
