"""Drills of servers and tables on a pair that runs, with the real kernel's IPVS under it.

How it works: a lab world with two directors that run the real program; a drill is run on the active
one, as an operator runs it, and asked by way of the client's namespace. What a fault really did to
the kernel is seen beside it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hadirector.config.loader import load
from hadirector.drill import together
from hadirector.drill.actor import DirectorActor
from hadirector.drill.world_file import WorldFile
from hadirector.lab.actors import start_actors
from hadirector.lab.namespaces import BuiltWorld, inside
from hadirector.lab.world import build_world
from tests.e2e.keeper import keeper_of

FILE = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
peer: {}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24], group: web}
  - {name: back, vrid: 52, interface: eth1, addresses: [198.51.100.1/24], group: web}
connection_sync: {interface: eth1}
audit: 5s
services:
  - name: web
    listen: tcp://192.0.2.100:80
    scheduler: rr
    forward: nat
    check: {type: http, path: /healthz, status: 200, interval: 500ms, timeout: 400ms, fall: 2}
    servers: [198.51.100.21:8080, 198.51.100.22:8080]
"""
BOUND_S = 60.0
LOST, LAST = "198.51.100.21:8080", "198.51.100.22:8080"


class Story:
    """The pair, and what is asked of it."""

    def __init__(self, built: BuiltWorld, directors: dict[str, DirectorActor], place: Path) -> None:
        self.built, self.directors, self._place = built, directors, place
        self.namespace = directors["lb1"].machine.namespace

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        """Run one on lb1, in a process group of its own as a shell's jobs have."""
        client = self.built.world.client.namespace
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        state = ("--state-dir", str(self._place / "lb1" / "state"))
        command = (
            *(sys.executable, "-m", "hadirector", "drill", "run", name, "--yes", "--json", "-"),
            *("--via", shlex.join(("ip", "netns", "exec", client, "env", f"PATH={path}"))),
            *("--runtime-dir", str(self._place / "lb1" / "run"), *state, *words),
        )
        with inside(self.namespace), (self._place / "said").open("w") as said:
            errors = subprocess.DEVNULL
            return subprocess.Popen(command, stdout=said, stderr=errors, process_group=0, text=True)

    def wait(self, running: subprocess.Popen[str], watch: Callable[[], object]) -> None:
        """Wait for its end; `watch` is called all the while."""
        give_up = time.monotonic() + 2 * BOUND_S
        while running.poll() is None:
            assert time.monotonic() < give_up, (self._place / "said").read_text()
            watch()
            time.sleep(0.1)

    def drill(self, name: str, watch: Callable[[], object] = lambda: None) -> Any:
        """Run one; what it found."""
        with self.start(name) as running:
            self.wait(running, watch)
        return json.loads((self._place / "said").read_text())["scenarios"][0]

    def routes(self) -> str:
        """What drills have cut off."""
        machine = self.directors["lb1"].machine
        return self.built.run(machine, ["ip", "route", "show", "proto", "77"])

    def servers(self) -> set[str]:
        """Those in lb1's table."""
        return {line.server for line in self.directors["lb1"].table() if line.server}

    def until(self, is_true: Callable[[], bool]) -> None:
        give_up = time.monotonic() + BOUND_S
        while not is_true():
            assert time.monotonic() < give_up, self.directors["lb1"].status()
            time.sleep(0.2)

    def settles(self) -> None:
        """Wait until all is as it should be."""
        self.until(self._is_settled)

    def _is_settled(self) -> bool:
        status = self.directors["lb1"].status()
        active = {router["state"] for router in status.get("routers", [])} == {"active"}
        heard = together.hear_each_other(self.directors.values())
        return active and heard and self.servers() == {LOST, LAST}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Story]:
    original, work = tmp_path / "original.yaml", tmp_path / "work"
    original.write_text(FILE)
    work.mkdir()
    config = load(original).config
    assert config is not None
    file = WorldFile(original, config, work)
    with ExitStack() as exits:
        world = build_world(config, prefix="drill-")
        built = exits.enter_context(BuiltWorld(world))
        for actor in start_actors(world.servers, work).values():
            exits.callback(actor.kill)
        directors = {
            name: DirectorActor(name, machine, built, workdir=work, file=file.path)
            for name, machine in world.directors.items()
        }
        for director in directors.values():
            director.start()
            exits.callback(director.stop)
        story = Story(built, directors, work)
        story.settles()
        yield story


@pytest.mark.timeout(600)
def test_drills_of_servers_and_tables(pair: Story) -> None:
    gone: set[str] = set()
    told = pair.drill("server-lost", watch=lambda: gone.update({LOST, LAST} - pair.servers()))
    assert told["verdict"] == "pass", (told["faults"], told["notes"], told["connections"])
    assert len(gone) == 1
    assert told["connections"]["opened"] == 10
    pair.settles()
    for name in ("drift", "sync-daemon-lost", "reload-bad-file"):
        told = pair.drill(name)
        assert told["verdict"] == "pass", (told["faults"], told["notes"], told["connections"])
        assert (told["connections"]["opened"], told["connections"]["kept"]) == (10, 10)
        pair.settles()
    gone.clear()
    told = pair.drill("all-servers-lost", watch=lambda: gone.update({LOST, LAST} - pair.servers()))
    assert told["verdict"] == "pass", (told["faults"], told["notes"], told["connections"])
    assert gone == {LOST, LAST}
    assert told["requests_lost"] > 0
    pair.settles()
    assert pair.routes() == ""
    for who, how in (
        ("command", signal.SIGKILL),
        ("command", signal.SIGINT),
        ("keeper", signal.SIGKILL),
    ):
        with pair.start("server-lost") as running:
            pair.until(lambda: pair.routes() != "")
            os.kill(running.pid if who == "command" else keeper_of(running.pid), how)
        pair.until(lambda: pair.routes() == "")
        pair.settles()
