"""How many connections survive a failover, beside the packaged keepalived, in one world and run.

Usage: python -m tests.bench.survival [--runs 5] [--forward nat,dr] [--add-to FILE]

A world with two directors, two real servers and a client, in the embedded kernel (or on this host,
if it has IPVS and we are root); the directors run hadirector or keepalived, set up for the same
job: adverts every second, connection sync, the same checks. 200 connections with data and 100 that
have only completed the handshake stand for longer than the sync window, then one thing happens:

    planned     the active director is relieved: `switchover`; keepalived is stopped in good order
    killed      kill -9 of every process of the active director
    power loss  everything stops at once, cables out
    returns     the better director is back, with an empty table, and takes over again

Numbers are connections that still answer, printed as they come. keepalived leaves the kernel's
`sync_threshold` at its stock value, which tells the peer of a connection with its third packet.

A pair that does not come to rest, or does not take over, loses the rest of its run and its world;
that is said, with why, and counted; exit status 1 if it was ours. With `--add-to`, results are kept
in a file (JSON lines), and the summary is of all that is there: a long measurement in pieces.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from hadirector.config.loader import load
from hadirector.drill import together
from hadirector.drill.actor import DirectorActor
from hadirector.drill.world_file import WorldFile
from hadirector.lab.errors import LabError
from hadirector.lab.namespaces import BuiltWorld
from hadirector.lab.world import build_world
from tests.bench.crowd import Crowd, echo_server
from tests.bench.embedded import boot, has_ipvs
from tests.bench.keepalived_director import NETWORK, PORT, VIP, Keepalived, keepalived_conf
from tests.bench.report import heading, row, spread

KINDS = ("ours", "keepalived")
TALKING, SILENT = 200, 100
SETTLE_S = 4.0
"""A connection that stands for so long is known to the peer: beyond the kernel's sync window."""
AFTER_S = 2.0
BOUND_S = 90.0
EMBEDDED_S = 7200.0
"""What is asked for by default takes half an hour, and a pair that does not come to rest longer."""
POLL_S = 0.2
NO_BACK = "}"
BACK = """, group: web}
  - {name: back, vrid: 52, interface: eth1, addresses: [198.51.100.1/24], group: web}"""
OURS = """
nodes:
  lb1: {{address: 192.0.2.11, priority: 254}}
  lb2: {{address: 192.0.2.12, priority: 253}}
peer: {{}}
virtual_routers:
  - {{name: front, vrid: 51, interface: eth0, addresses: [{vip}/24]{back}
connection_sync: {{interface: eth0}}
services:
  - name: web
    listen: tcp://{vip}:{port}
    scheduler: wlc
    forward: {forward}
    check: {{type: tcp, interval: 2s, timeout: 1s}}
    servers: [{network}.21:{port}, {network}.22:{port}]
"""


class BrokenOffError(Exception):
    """A run cannot go on: what did not happen, and what the directors say."""


class Survival:
    """One world with directors of one kind. Use as a context manager."""

    def __init__(self, kind: str, forward: str) -> None:
        self.kind, self.forward = kind, forward
        self._exits = ExitStack()

    def __enter__(self) -> Survival:
        with ExitStack() as exits:
            self._set_up(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def _set_up(self, exits: ExitStack) -> None:
        place = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        original = place / "original.yaml"
        back = BACK if self.forward == "nat" else NO_BACK
        network = NETWORK[self.forward]
        values = {"vip": VIP, "port": PORT, "forward": self.forward, "network": network}
        original.write_text(OURS.format(back=back, **values))
        config = load(original).config
        assert config is not None
        (place / "work").mkdir()
        file = WorldFile(original, config, place / "work")
        world = build_world(config, prefix="bench-")
        self._built = exits.enter_context(BuiltWorld(world))
        self._client = world.client.namespace
        for name, server in world.servers.items():
            forked = echo_server(name, server.machine.namespace, PORT)
            forked.start()
            exits.callback(forked.kill)
            forked.await_ready()
        kind = DirectorActor if self.kind == "ours" else Keepalived
        self._directors = {
            name: kind(name, machine, self._built, workdir=place / "work", file=file.path)
            for name, machine in world.directors.items()
        }
        for name, director in self._directors.items():
            if isinstance(director, Keepalived):
                director.place = place
                priority = config.nodes[name].priority
                (place / f"{name}.conf").write_text(keepalived_conf(self.forward, priority))
            director.start()
            exits.callback(director.stop)
        self.settle()

    def _holds(self, name: str) -> bool:
        shown = self._built.run(self._directors[name].machine, ["ip", "-o", "-4", "address"])
        return f" {VIP}/" in shown

    def _until(self, what: str, is_true: Callable[[], bool], crowd: Crowd | None = None) -> None:
        give_up = time.monotonic() + BOUND_S
        while not is_true():
            if time.monotonic() > give_up:
                seen = "\n".join(map(self._seen, self._directors.values()))
                raise BrokenOffError(f"{what}: not within {BOUND_S:g} s\n{seen}")
            if crowd is None:
                time.sleep(POLL_S)
            else:
                crowd.talk(POLL_S)

    def _seen(self, director: DirectorActor) -> str:
        daemons = self._built.run(director.machine, ["ipvsadm", "-l", "--daemon"])
        facts = [
            f"{name}: {director.status().get(name)}" for name in ("trouble", "peer", "routers")
        ]
        return "\n".join([f"== {director.name}", daemons, *facts, director.log.read_text()[-2000:]])

    def _ready(self) -> bool:
        """Whether lb1 alone is active, both have their servers, and hear each other."""
        if not self._holds("lb1") or self._holds("lb2"):
            return False
        if not all(len(one.table()) >= 2 for one in self._directors.values()):
            return False
        daemons = [
            self._built.run(one.machine, ["ipvsadm", "-l", "--daemon"])
            for one in self._directors.values()
        ]
        if "master" not in daemons[0] or "backup" not in daemons[1]:
            return False
        if self.kind != "ours":
            return True
        # Not that there is no trouble: a channel that is lost as often as here is one.
        peers = [one.status().get("peer") or {} for one in self._directors.values()]
        return all(peer.get("routers") for peer in peers)

    def settle(self) -> None:
        """Wait until all is as it should be, lb1 active."""
        self._until("the pair comes to rest", self._ready)

    def _crowd(self) -> Crowd:
        crowd = Crowd(self._client, (VIP, PORT), talking=TALKING, silent=SILENT)
        crowd.talk(SETTLE_S)
        return crowd

    def _outcome(self, crowd: Crowd, active: str) -> tuple[int, int]:
        self._until(f"{active} takes over", lambda: self._holds(active), crowd)
        crowd.talk(AFTER_S)
        return crowd.survivors()

    def _switch_over(self, to: str, *options: str) -> None:
        done, said = together.switchover(self._directors["lb1"], *options, to=to)
        if not done:
            raise BrokenOffError(f"switchover to {to}: {said}")

    def kept(self, what: str) -> tuple[int, int]:
        """Connections stand, something happens: how many of them are kept."""
        event, active, _ = EVENTS[what]
        crowd = Crowd(self._client, (VIP, PORT), talking=TALKING, silent=SILENT)
        with closing(crowd):
            crowd.talk(SETTLE_S)
            event(self)
            self._until(f"{active} takes over", lambda: self._holds(active), crowd)
            crowd.talk(AFTER_S)
            return crowd.survivors()

    def put_back(self, what: str) -> None:
        """Everything as it was before, where the next event begins with that."""
        _, _, put_back = EVENTS[what]
        if put_back is not None:
            put_back(self)
            self.settle()

    # ----------------------------------------------------------------- what happens

    def relieve(self) -> None:
        """The active director is relieved."""
        if self.kind == "ours":
            self._switch_over("lb2")
        else:
            self._directors["lb1"].stop()

    def relieved(self) -> None:
        """It takes over again."""
        if self.kind == "ours":
            self._switch_over("lb1", "--force")
        else:
            self._directors["lb1"].start()

    def kill(self) -> None:
        """Every process of the active director is killed at once."""
        self._built.kill_processes(self._directors["lb1"].machine)

    def boot_again(self) -> None:
        """What was killed begins anew, its kernel with it."""
        self._directors["lb1"].power_off()
        self._directors["lb1"].power_on()

    def cut_power(self) -> None:
        """The active director has no power any more."""
        self._directors["lb1"].power_off()

    def power_on(self) -> None:
        """The better director is there again."""
        self._directors["lb1"].power_on()

    def nothing(self) -> None:
        """It is as it was."""


Step = Callable[[Survival], None]
EVENTS: dict[str, tuple[Step, str, Step | None]] = {
    "planned": (Survival.relieve, "lb2", Survival.relieved),
    "killed": (Survival.kill, "lb2", Survival.boot_again),
    "power loss": (Survival.cut_power, "lb2", None),
    "returns": (Survival.power_on, "lb1", Survival.nothing),
}
"""What is done, who is active then, and what puts it back; None: the next event begins there."""


class Results:
    """What was found, by who, how and what: told as it comes, kept in a file if there is one."""

    def __init__(self, file: Path | None) -> None:
        self.kept: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
        self.broken: list[tuple[str, str, str]] = []
        self._file = file
        if file is not None and file.exists():
            for line in file.read_text().splitlines():
                self._take(json.loads(line))

    def add(self, kind: str, forward: str, what: str, found: tuple[int, int] | str) -> None:
        """A pair of counts, or why the run was broken off."""
        one = {"kind": kind, "forward": forward, "what": what, "found": found}
        self._take(one)
        if self._file is not None:
            with self._file.open("a") as file:
                print(json.dumps(one), file=file)
        print(f"# {kind} {forward} {what}: {found}", flush=True)

    def _take(self, one: dict[str, Any]) -> None:
        if isinstance(one["found"], str):
            why = one["found"].partition("\n")[0]
            self.broken.append((one["kind"], one["forward"], f"{one['what']}: {why}"))
        else:
            talking, silent = one["found"]
            self.kept[one["kind"], one["forward"], one["what"]].append((talking, silent))

    def show(self) -> None:
        """The summary, side by side."""
        for forward in dict.fromkeys(forward for _, forward, _ in self.kept):
            heading(f"{forward}: connections kept of {TALKING} with data, {SILENT} without")
            for name in EVENTS:
                both = [self.kept[kind, forward, name] for kind in KINDS]
                for place, what in enumerate(("with data", "handshake only")):
                    ours, theirs = (spread([one[place] for one in found]) for found in both)
                    row(f"{name} ({_times(both)}): {what}", ours, theirs, "")
        for kind, forward, why in self.broken:
            print(f"{kind} {forward}: a run was broken off: {why}", flush=True)


def _times(both: list[list[tuple[int, int]]]) -> str:
    """How often it was seen."""
    ours, theirs = map(len, both)
    return f"{ours} x" if ours == theirs else f"{ours} x, {theirs} x"


def measure(kind: str, forward: str, runs: int, results: Results) -> None:
    """All events so many times; a run that cannot go on costs its world, not the others."""
    run = 0
    while run < runs:
        what = "the pair comes to rest"
        try:
            with Survival(kind, forward) as survival:
                while run < runs:
                    for what in EVENTS:
                        results.add(kind, forward, what, survival.kept(what))
                        survival.put_back(what)
                    run += 1
        except (BrokenOffError, LabError, OSError, subprocess.SubprocessError) as error:
            run += 1
            results.add(kind, forward, f"run {run}, {what}", f"{type(error).__name__}: {error}")


def main() -> int:
    """Measure and print; 1 where a run of ours was broken off."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.survival")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--forward", default="nat,dr")
    parser.add_argument("--add-to", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if not has_ipvs():
        return boot("tests.bench.survival", sys.argv[1:], timeout_s=EMBEDDED_S)
    results = Results(asked.add_to)
    try:
        for forward in asked.forward.split(","):
            for kind in KINDS:
                measure(kind, forward, asked.runs, results)
    finally:
        results.show()
    return int(any(kind == "ours" for kind, _, _ in results.broken))


if __name__ == "__main__":
    sys.exit(main())
