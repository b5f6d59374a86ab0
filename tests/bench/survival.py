"""How many connections survive a failover, beside the packaged keepalived, in one world and run.

Usage: python -m tests.bench.survival [--runs 5] [--forward nat,dr]

A world with two directors, two real servers and a client, in the embedded kernel (or on this host,
if it has IPVS and we are root); the directors run hadirector or keepalived, set up for the same
job: adverts every second, connection sync, the same checks. 200 connections with data and 100 that
have only completed the handshake stand for longer than the sync window, then one thing happens:

    planned     the active director is relieved: `switchover`; keepalived is stopped in good order
    killed      kill -9 of every process of the active director
    power loss  everything stops at once, cables out
    returns     the better director is back, with an empty table, and takes over again

Numbers are connections that still answer. keepalived leaves the kernel's `sync_threshold` at its
stock value, which tells the peer of a connection with its third packet.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hadirector.config.loader import load
from hadirector.drill import together
from hadirector.drill.actor import DirectorActor
from hadirector.drill.world_file import WorldFile
from hadirector.lab.namespaces import BuiltWorld
from hadirector.lab.world import build_world
from tests.bench.crowd import Crowd, echo_server
from tests.bench.embedded import boot, has_ipvs
from tests.bench.report import heading, row, spread

KINDS = ("ours", "keepalived")
VIP, PORT = "192.0.2.100", 80
TALKING, SILENT = 200, 100
SETTLE_S = 4.0
"""A connection that stands for so long is known to the peer: beyond the kernel's sync window."""
AFTER_S = 2.0
BOUND_S = 90.0
POLL_S = 0.2
NETWORK = {"nat": "198.51.100", "dr": "192.0.2"}
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
GROUP = """
vrrp_sync_group web {
  group {
    front
    back
  }
}
"""
INSTANCE = """
vrrp_instance {name} {{
  state BACKUP
  interface {interface}
  virtual_router_id {vrid}
  priority {priority}
  advert_int 1
  virtual_ipaddress {{
    {address}/24
  }}
}}
"""
SERVER = """
  real_server {network}.{last} {port} {{
    weight 1
    TCP_CHECK {{
      connect_timeout 1
    }}
  }}
"""
THEIRS = """
global_defs {{
  vrrp_version 3
  vrrp_garp_master_delay 1
  lvs_sync_daemon eth0 front id 51
}}
{instances}
virtual_server {vip} {port} {{
  delay_loop 2
  lb_algo wlc
  lb_kind {kind}
  protocol TCP
{servers}
}}
"""


class Keepalived(DirectorActor):
    """The packaged daemon in a director's place."""

    place: Path

    def start(self) -> None:
        ids = [f"--{each}={self.place}/{self.name}.{each}" for each in PID_FILES]
        argv = ["keepalived", "-n", "-l", "-f", str(self.place / f"{self.name}.conf"), *ids]
        environment = dict(os.environ)
        with self.log.open("ab") as log:
            self._process = self._built.spawn(
                self.machine, argv, environment=environment, output=log
            )
        self.powered = True


PID_FILES = ("pid", "vrrp_pid", "checkers_pid")


def keepalived_conf(forward: str, priority: int) -> str:
    """The same job in keepalived's words."""
    routers = [("front", "eth0", 51, VIP)]
    group = ""
    if forward == "nat":
        routers.append(("back", "eth1", 52, "198.51.100.1"))
        group = GROUP
    instances = "".join(
        INSTANCE.format(name=name, interface=interface, vrid=vrid, address=at, priority=priority)
        for name, interface, vrid, at in routers
    )
    servers = "".join(
        SERVER.format(network=NETWORK[forward], last=last, port=PORT) for last in (21, 22)
    )
    return THEIRS.format(
        instances=group + instances,
        vip=VIP,
        port=PORT,
        kind=forward.upper(),
        servers=servers,
    )


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
                sys.exit(f"{self.kind} {self.forward}: not within {BOUND_S:g} s: {what}\n{seen}")
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

    # ----------------------------------------------------------------- what happens

    def planned(self) -> tuple[int, int]:
        """The active director is relieved."""
        crowd, lb1 = self._crowd(), self._directors["lb1"]
        if self.kind == "ours":
            done, said = together.switchover(lb1, to="lb2")
            assert done, said
            kept = self._outcome(crowd, "lb2")
            done, said = together.switchover(lb1, "--force", to="lb1")
            assert done, said
        else:
            lb1.stop()
            kept = self._outcome(crowd, "lb2")
            lb1.start()
        self.settle()
        return kept

    def killed(self) -> tuple[int, int]:
        """Every process of the active director is killed at once."""
        crowd, lb1 = self._crowd(), self._directors["lb1"]
        self._built.kill_processes(lb1.machine)
        kept = self._outcome(crowd, "lb2")
        lb1.power_off()
        lb1.power_on()
        self.settle()
        return kept

    def power_loss(self) -> tuple[int, int]:
        """The active director has no power any more; it stays off."""
        crowd = self._crowd()
        self._directors["lb1"].power_off()
        return self._outcome(crowd, "lb2")

    def returns(self) -> tuple[int, int]:
        """After a loss of power: the better director is there again."""
        crowd = self._crowd()
        self._directors["lb1"].power_on()
        kept = self._outcome(crowd, "lb1")
        self.settle()
        return kept


EVENTS: dict[str, Callable[[Survival], tuple[int, int]]] = {
    "planned": Survival.planned,
    "killed": Survival.killed,
    "power loss": Survival.power_loss,
    "returns": Survival.returns,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.survival")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--forward", default="nat,dr")
    asked = parser.parse_args()
    if not has_ipvs():
        return boot("tests.bench.survival", sys.argv[1:])
    for forward in asked.forward.split(","):
        found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for kind in KINDS:
            with Survival(kind, forward) as survival:
                for _ in range(asked.runs):
                    for name, event in EVENTS.items():
                        found[kind, name].append(event(survival))
                        print(f"# {kind} {forward} {name}: {found[kind, name][-1]}", flush=True)
        heading(f"{forward}: connections kept of {TALKING} with data, {SILENT} without")
        for name in EVENTS:
            for place, what in enumerate(("with data", "handshake only")):
                ours, theirs = (
                    spread([kept[place] for kept in found[kind, name]]) for kind in KINDS
                )
                row(f"{name}: {what}", ours, theirs, "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
