"""A world that stands, a director that is programmed from a configuration text, and a client.

What a text asks for goes the way it goes in the product: configuration, pool, plan, kernel. What
became of it is told by the servers that answered and by the kernel's own table in /proc.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hadirector.ipvs.connections import Connection, parse_connections
from hadirector.ipvs.table import KernelTable
from hadirector.lab.actors import start_actors
from hadirector.lab.commands import Batch
from hadirector.lab.namespaces import BuiltWorld, inside, run_batch
from hadirector.lab.world import build_world
from hadirector.plan import plan
from hadirector.pool import desired_table, everything_up
from tests.hadirector.config.samples import NODES, config_of
from tests.prerequisites import require

VIP = "192.0.2.100"
VIP6 = "2001:db8::100"
HEAD = f"""{NODES}virtual_routers:
  - {{name: front, vrid: 51, interface: eth0, addresses: [{VIP}/24]}}
  - {{name: front6, vrid: 51, interface: eth0, addresses: ['fe80::51/64', '{VIP6}/64']}}
  - {{name: back, vrid: 52, interface: eth1, addresses: [198.51.100.1/24]}}
"""
BACK6 = """\
  - {name: back6, vrid: 52, interface: eth1, addresses: ['fe80::52/64', '2001:db8:2::1/64']}
"""
BOUND_S = 3.0


@dataclass(frozen=True)
class Stage:
    """`built` with lb1 as the active director. `directory` is for the configuration text."""

    built: BuiltWorld
    directory: Path
    head: str = HEAD

    def make_active(self) -> None:
        """Give lb1 the virtual addresses, as its VRRP worker would."""
        addresses = [
            f"address add {address} dev {network.interface} nodad"
            for network in self.built.world.networks
            for address in network.virtual
        ]
        run_batch(Batch(self.director, tuple(addresses)))

    @property
    def director(self) -> str:
        """The namespace of the active director."""
        return self.built.world.directors["lb1"].namespace

    @property
    def client(self) -> str:
        """The namespace of the client."""
        return self.built.world.client.namespace

    def program(self, *services: str) -> None:
        """The kernel's table as these services ask for it; whatever else is in it goes."""
        text = "".join(f"  - {{{service}}}\n" for service in services)
        config = config_of(self.directory, f"{self.head}services:\n{text}" if text else self.head)
        desired = desired_table(everything_up(service) for service in config.services)

        async def write() -> None:
            kernel = KernelTable()
            try:
                actual = await kernel.read()
                made = plan(desired, actual, declared_before=set(actual))
                report = await kernel.apply(made.steps)
                assert report.failures == ()
                assert await kernel.read() == desired
            finally:
                kernel.close()

        with inside(self.director):
            asyncio.run(write())

    def proc(self) -> list[str]:
        """/proc/net/ip_vs without its heading, blanks made single."""
        with inside(self.director):
            text = Path("/proc/thread-self/net/ip_vs").read_text()
        return [" ".join(line.split()) for line in text.splitlines()[3:]]

    def connections(self) -> list[Connection]:
        """The kernel's connections and persistence templates."""
        with inside(self.director):
            text = Path("/proc/thread-self/net/ip_vs_conn").read_text()
        return [one for one in parse_connections(text.splitlines()) if one is not None]

    def connect(
        self, port: int, address: str = VIP, *, source: str | None = None
    ) -> http.client.HTTPConnection:
        """A connection of the client that stays open; `source`: from this address of its."""
        with inside(self.client):
            sock = socket.create_connection(
                (address, port), BOUND_S, (source, 0) if source else None
            )
        connection = http.client.HTTPConnection(address, port)
        connection.sock = sock
        return connection

    def ask(self, port: int, address: str = VIP, *, source: str | None = None) -> str:
        """Which server answers a new connection."""
        connection = self.connect(port, address, source=source)
        try:
            return talk(connection, {"Connection": "close"})
        finally:
            connection.close()


@contextmanager
def standing(
    directory: Path, services: Iterable[str], *, prefix: str, head: str = HEAD
) -> Iterator[Stage]:
    """A world that has the real servers of all these services, with lb1 active."""
    require("ip")
    text = "".join(f"  - {{{service}}}\n" for service in services)
    world = build_world(config_of(directory, f"{head}services:\n{text}"), prefix=prefix)
    with BuiltWorld(world) as built:
        actors = start_actors(world.servers, directory)
        try:
            stage = Stage(built, directory, head)
            stage.make_active()
            yield stage
        finally:
            for actor in actors.values():
                actor.kill()


def talk(connection: http.client.HTTPConnection, headers: dict[str, str] | None = None) -> str:
    """Ask once on this connection: the name of the server that answers."""
    connection.request("GET", "/", headers=headers or {})
    response = connection.getresponse()
    response.read()
    return response.headers["Server-Name"]
