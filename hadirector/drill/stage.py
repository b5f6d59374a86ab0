"""The stage of a rehearsal: a running pair in a lab world, and the verbs the scenarios are told
in.

The directors on it are the real program, started as a user starts it. What they did is judged by
the kernel (its table, its addresses) and by a client that asks every 10 ms; what they say of it by
their own API. One thread, no event loop: a scenario reads from top to bottom.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from hadirector import elections
from hadirector.config.model import Config, Server, Service
from hadirector.drill import procfs, together
from hadirector.drill.actor import DirectorActor
from hadirector.drill.arp import Ear
from hadirector.drill.clients import Clients
from hadirector.drill.links import Links
from hadirector.drill.possession import Possession
from hadirector.drill.scene import BrokenPromiseError, Scene
from hadirector.drill.settled import holders, is_settled
from hadirector.drill.timeline import all_held
from hadirector.drill.world_file import WorldFile
from hadirector.lab.actors import Actor
from hadirector.lab.namespaces import BuiltWorld, inside
from hadirector.lab.observe import Observer
from hadirector.lab.spares import Interface
from vrrp.config import VirtualRouter

HEAL_S = 180.0
REFUSALS = frozenset({"refused", "reset", "closed"})


class Stage(Scene):
    """Everything a scenario may do and ask."""

    def __init__(
        self,
        *,
        config: Config,
        file: WorldFile,
        built: BuiltWorld,
        directors: Mapping[str, DirectorActor],
        servers: Mapping[str, Actor],
        clients: Clients,
        observer: Observer,
    ) -> None:
        super().__init__()
        self.config = config
        self.service: Service = config.services[0]
        self.routers = elections.carriers(config, self.service)
        """What carries the service that the clients ask; who is active there is hit by faults."""
        self.directors = directors
        self._dark: list[tuple[str, float]] = []
        self._file = file
        self._built = built
        self._servers = servers
        machines = {name: each.machine for name, each in directors.items()}
        self.links = Links(built, machines, self._done)
        self._clients = clients
        self._observer = observer
        self._possession = Possession(frozenset(a.ip for a in self._addresses()))

    # The clients

    def who_answers(self, *, within_ms: float) -> str:
        """The server that answers the client now: of the first probe sent from now on."""
        return self._clients.who_answers(within_ms / 1000)

    def nothing_lost(self, otherwise: str) -> None:
        """Expect that no request is lost in the whole scenario."""
        self._clients.judge_losses(since=self._began_at, otherwise=otherwise)

    def nothing_lost_from_now_on(self, otherwise: str) -> None:
        """Expect that no request is lost from now to the end of the scenario."""
        self._clients.judge_losses(since=time.monotonic(), otherwise=otherwise)

    def lost_only_by_the_dead(self, otherwise: str) -> None:
        """Expect that requests are lost only as a host without that server process answers.

        A datagram into the void is often lost without a word (hosts ration their ICMP errors), so
        over UDP nobody can tell whom it was for.
        """
        if self._clients.connects:
            self._clients.judge_losses(since=self._began_at, otherwise=otherwise, excused=REFUSALS)

    def answered_lately(self) -> bool:
        """Whether the client had an answer in the last half second."""
        return self._clients.answered_lately()

    # Real servers

    def kill_server(self, server: Server) -> None:
        """Kill the server's process."""
        self._done(f"server {server} killed")
        self._servers[str(server.address)].kill()

    def start_server(self, server: Server) -> None:
        """Start the server's process again."""
        self._done(f"server {server} started")
        self._servers[str(server.address)].start()

    def in_any(self, server: Server) -> bool:
        """Whether any director that has power has this server in its table."""
        return any(self._has(director, server) for director in self._powered())

    def in_all(self, server: Server) -> bool:
        """Whether every director that has power has this server in its table."""
        return all(self._has(director, server) for director in self._powered())

    def _has(self, director: DirectorActor, server: Server) -> bool:
        return any(line.server == str(server) for line in director.table())

    @property
    def extra_server(self) -> Server:
        """The server that a reload may add: it runs, and the file does not name it yet."""
        return self._file.extra

    # Directors

    def _powered(self) -> list[DirectorActor]:
        return [director for director in self.directors.values() if director.powered]

    def active(self) -> str:
        """The director that serves the clients: it holds the addresses that their service needs.

        Raises BrokenPromiseError if none or both hold them.
        """
        if not self.routers:
            return next(iter(self.directors))
        self._look()
        found = holders(self.config, self.routers, self._holds)
        if len(found) != 1:
            raise BrokenPromiseError(f"{' and '.join(found) or 'nobody'} holds all addresses")
        return found[0]

    def who_is_active(self) -> str | None:
        """As `active`, None instead of an error."""
        with suppress(BrokenPromiseError):
            return self.active()
        return None

    def backup(self) -> str:
        """The other director."""
        active = self.active()
        return next(name for name in self.directors if name != active)

    def off(self) -> str:
        """The director without power."""
        return next(name for name, director in self.directors.items() if not director.powered)

    def preferred(self) -> str:
        """The director with the highest priority for what the clients ask."""
        return elections.preferred(self.config, self.routers[0])

    def outranks(self, name: str, other: str) -> bool:
        """Whether one director preempts the other by the configuration."""
        return all(elections.outranks(self.config, each, name, other) for each in self.routers)

    def device_of(self, name: str, router: VirtualRouter) -> str:
        """What a director calls the interface that has the addresses of a virtual router."""
        return elections.settings_on(self.config.nodes[name], router).device

    def kill(self, name: str, process: str) -> None:
        """`kill -9` one of a director's processes."""
        self._done(f"{process} process of {name} killed")
        self.directors[name].signal(process, "SIGKILL")

    def stop(self, name: str) -> None:
        """Ask a director to stop, as a service manager does."""
        self._done(f"{name} told to stop")
        self.directors[name].signal("supervisor", "SIGTERM")

    def freeze(self, name: str, process: str) -> int:
        """SIGSTOP one of a director's processes; return its pid."""
        self._done(f"{process} process of {name} frozen")
        return self.directors[name].signal(process, "SIGSTOP")

    def lives(self, pid: int) -> bool:
        """Whether a process is there."""
        return Path(f"/proc/{pid}").exists()

    def is_deserted(self, name: str) -> bool:
        """Whether no process is left on a director."""
        return not self.directors[name].processes()

    def power_off(self, name: str) -> None:
        """All cables out at once, then every process killed."""
        self._done(f"{name} without power")
        self._dark.append((name, time.monotonic()))
        self.directors[name].power_off()

    def power_on(self, name: str) -> None:
        """As after a reboot: no virtual addresses, an empty table, then `hadirector run`."""
        self._done(f"{name} powered on")
        self.directors[name].power_on()

    def run(self, name: str, *argv: str) -> str:
        """Run a command on a director, as a colleague would."""
        self._done(f"on {name}: {' '.join(argv)}")
        return self._built.run(self.directors[name].machine, argv)

    def start(self, name: str) -> None:
        """Start a director that was stopped."""
        self._done(f"{name} started")
        self.directors[name].start()

    # Sync daemons

    def sync_daemons(self, name: str) -> str:
        """The kernel's sync daemons on a director, as ipvsadm tells of them."""
        return self._built.run(self.directors[name].machine, ["ipvsadm", "-l", "--daemon"])

    def stop_sync(self, name: str) -> None:
        """Stop the sync daemons on a director, as a colleague would."""
        self._done(f"sync daemon of {name} stopped")
        for role in ("master", "backup"):
            if role in self.sync_daemons(name):
                self._built.run(self.directors[name].machine, ["ipvsadm", "--stop-daemon", role])

    def pids(self, name: str) -> Mapping[str, int]:
        """The director's processes."""
        return self.directors[name].pids()

    def is_ready(self, name: str) -> bool:
        """Whether the director process answers and has programmed its table."""
        return self.directors[name].is_ready()

    def table(self, name: str) -> frozenset[procfs.Line]:
        """The kernel's table on a director, without counters."""
        return self.directors[name].table()

    # Addresses, by the kernel's own notifications

    def _addresses(self) -> list[Interface]:
        return [a for router in self.config.virtual_routers for a in router.all_addresses]

    def _look(self) -> None:
        self._possession.add(self._observer.collect())

    def _holds(self, name: str, address: Interface) -> bool:
        director = self.directors[name]
        return director.powered and self._possession.holds(director.machine.name, address.ip)

    def holds_all(self, name: str) -> bool:
        """Whether a director holds every virtual address; one without power holds none."""
        self._look()
        return all(self._holds(name, address) for address in self._addresses())

    def holds_none(self, name: str) -> bool:
        """Whether a director holds no virtual address."""
        self._look()
        return not any(self._holds(name, address) for address in self._addresses())

    def is_settled(self) -> bool:
        """Whether each address is on its preferred director alone, as far as that may preempt."""
        self._look()
        return is_settled(self.config, self._holds)

    def active_spans(self) -> list[tuple[str, float, float | None]]:
        """When each director held all addresses that the clients' service needs."""
        self._look()
        wanted = [a.ip for router in self.routers for a in router.all_addresses]
        by_name = {
            name: self._possession.spans_of(director.machine.name, wanted)
            for name, director in self.directors.items()
        }
        return all_held(by_name, now=time.monotonic(), dark=self._dark)

    def held_by_both_ms(self) -> float:
        """The longest time, in this scenario, in which two directors held the same address."""
        self._look()
        return self._possession.both_held_ms(since=self._began_at, until=time.monotonic())

    def address_came_back(self, name: str, address: Interface) -> bool:
        """Whether an address was deleted in this scenario and is there again."""
        self._look()
        machine = self.directors[name].machine.name
        return self._possession.came_back(machine, address.ip, since=self._began_at)

    def ear(self, name: str) -> Ear:
        """Listen on a director, from now on, to what others announce on its interfaces."""
        node = self.config.nodes[name]
        with inside(self.directors[name].machine.namespace):
            return Ear(elections.settings_on(node, each).interface for each in self.routers)

    # What the directors say

    def quorum_met(self) -> bool:
        """Whether the active director shows the service's quorum as met."""
        services = self.directors[self.active()].status().get("services", [])
        return any(s["name"] == self.service.name and s["quorum"]["met"] for s in services)

    def brake(self, name: str) -> str:
        """What the brake of the service is doing on a director; empty where there is none."""
        for service in self.directors[name].status().get("services", []):
            if service["name"] == self.service.name and service["brake"]:
                return str(service["brake"]["phase"])
        return ""

    def reason_of(self, server: Server) -> str:
        """Why the active director has a server as it is."""
        answer = self.directors[self.active()].explain(f"{self.service.name}/{server}")
        return str(answer["because"][1])

    def journaled(self, kind: str) -> bool:
        """Whether any director has journaled an event of this kind in this scenario."""
        return any(
            event["kind"].startswith(kind)
            for director in self._powered()
            for event in director.events(since=self._began_unix)
        )

    def times_active(self, name: str) -> int:
        """How often a director became active since the scenario began, by its own journal."""
        router = self.routers[0].name
        return sum(
            event["kind"] == "transition"
            and event["subject"] == router
            and "active" in event["sentence"].partition(":")[0]
            for event in self.directors[name].events(since=self._began_unix)
        )

    def writes(self, name: str) -> list[str]:
        """What a director wrote to its table in this scenario, by its own journal."""
        return self.sentences(name, "table")

    def sentences(self, name: str, kind: str) -> list[str]:
        """What a director journaled of this kind in this scenario, in order."""
        events = self.directors[name].events(since=self._began_unix)
        return [event["sentence"] for event in events if event["kind"] == kind]

    # The file

    def write_file_with_extra_server(self) -> None:
        """Give the pair's file one server more."""
        self._file.write_with_extra_server()

    def write_broken_file(self) -> int:
        """Break the pair's file; return the number of the broken line."""
        return self._file.write_broken()

    def reload(self, name: str, *, expect_accepted: bool) -> str:
        """`hadirector reload` on a director; return what it said."""
        self._done(f"reload on {name}")
        accepted, said = self.directors[name].reload()
        self.expect(accepted == expect_accepted, f"reload on {name}: {said}")
        return said

    # Before a scenario

    def heal(self) -> None:
        """Bring everything back: links, power, servers, file; the preferred director active."""
        self.links.heal()
        for actor in self._servers.values():
            if not actor.runs:
                actor.start()
        if self._file.restore():
            for director in self._powered():
                director.reload()
        for director in self.directors.values():
            if not director.powered:
                director.power_on()
            elif not director.runs:
                director.start()
        if self.config.peer is not None:
            together.end_yielding(self.directors[self.preferred()])
        self._await_health()

    def lose_the_preferred(self) -> None:
        """The state in which the preferred director has been lost for a while."""
        preferred = self.directors[self.preferred()]
        if preferred.powered:
            self.heal()
            preferred.power_off()
        other = next(name for name in self.directors if name != self.preferred())
        self.within(HEAL_S * 1000, f"{other} holds all addresses", lambda: self.holds_all(other))

    def _await_health(self) -> None:
        bound_ms = HEAL_S * 1000
        for name in self.directors:
            self.within(bound_ms, f"{name} is ready", partial(self.is_ready, name))
        if self.routers:
            what = "each address is on its preferred director alone"
            self.within(bound_ms, what, self.is_settled)
        for service in self.config.services:
            for server in service.servers:
                self.within(bound_ms, f"{server} is in", partial(self.in_all, server))
        self.within(bound_ms, "the clients are answered", self._clients.answered_lately)
