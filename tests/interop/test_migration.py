"""A running pair of keepalived is moved over in place, one director after the other.

Both keepalived are what the shipped `configs/v2.yaml` is made to stand beside: version 2 with a
password. Ours is the daemon as users start it, with the virtual routers of that very file. (Its
services need IPVS, which this host may not have; VRRP alone needs none.)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hadirector.config.loader import load
from hadirector.elections import router_settings
from tests.interop.keepalived import Keepalived, configuration
from tests.interop.lan import Capture, Lan, holds
from tests.prerequisites import require
from tests.vrrp.world import Host, World, eventually

FILE = Path(__file__).parents[2] / "configs" / "v2.yaml"
VIP = "192.0.2.100/24"
ADDRESSES = {"lb1": "192.0.2.11/24", "lb2": "192.0.2.12/24"}
PATIENCE_S = 20.0
"""For what takes three intervals of a second each, and a start."""


class Migration:
    """The pair, director by director."""

    def __init__(self, world: World, place: Path) -> None:
        self._place = place
        self.lan = Lan(world)
        self.hosts: dict[str, Host] = {}
        self.keepalived: dict[str, Keepalived] = {}
        self.file = place / "v2.yaml"
        self.file.write_text(FILE.read_text().partition("\nservices:")[0] + "\nservices: []\n")
        loaded = load(self.file)
        assert loaded.config is not None, loaded.render()
        for name, address in ADDRESSES.items():
            self.hosts[name] = world.host(name)
            self.lan.plug(self.hosts[name], address)
            self.keepalived[name] = Keepalived(self.hosts[name], place / f"keepalived-{name}")
            routers = router_settings(loaded.config, name)
            self.keepalived[name].start(configuration(routers, None))

    def start_ours(self, name: str) -> subprocess.Popen[str]:
        """`hadirector run`, which has its directories in the host's own /run."""
        run = ("run", str(self.file), "--node", name, "--state-dir", str(self._place / name))
        with (self._place / f"{name}.log").open("w") as log:
            program = (sys.executable, "-m", "hadirector")
            return self.hosts[name].start(*program, *run, stdout=log, stderr=log)

    def state(self, name: str) -> str:
        """Of the virtual router, as our daemon there tells it."""
        command = (sys.executable, "-m", "hadirector", "status", "--json")
        text = self.hosts[name].run(*command, check=False)
        return str(json.loads(text)["routers"][0]["state"]) if text.startswith("{") else "none"

    def has(self, name: str) -> bool:
        """Whether the address is at this director, and nowhere else."""
        return [each for each, host in self.hosts.items() if holds(host, VIP)] == [name]

    def events(self, name: str) -> list[dict[str, str]]:
        lines = (self._place / name / "journal.ndjson").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.mark.timeout(100)
def test_one_director_after_the_other(tmp_path: Path) -> None:
    require("ip", "keepalived", "tshark", namespaces=True)
    with World() as world:
        pair = Migration(world, tmp_path)
        capture = Capture(pair.lan, tmp_path / "wire.pcapng")
        eventually(lambda: pair.has("lb1"), "keepalived of lb1 is active", PATIENCE_S)

        pair.keepalived["lb2"].stop()  # the backup first: nobody notices
        pair.start_ours("lb2")
        eventually(lambda: pair.state("lb2") == "backup", "ours hears it, and respects it")
        assert pair.has("lb1")

        pair.keepalived["lb1"].stop()
        eventually(lambda: pair.has("lb2"), "ours takes over after keepalived", PATIENCE_S)
        pair.start_ours("lb1")
        eventually(lambda: pair.has("lb1"), "the preferred one is active again", PATIENCE_S)
        eventually(lambda: pair.state("lb2") == "backup", "and the other one is a backup")

        capture.end()
        seen = capture.show("vrrp", "ip.src", "vrrp.version", "vrrp.auth_type", "vrrp.prio")
        assert {tuple(fields[1:3]) for fields in seen} == {("2", "1")}
        assert capture.show("_ws.malformed", "frame.number") == []
        for name in pair.hosts:
            kinds = {event["kind"] for event in pair.events(name)}
            assert not {kind for kind in kinds if kind.startswith("rejected")}
            assert not {kind for kind in kinds if kind.endswith(("differs", "differ", "rival"))}
