"""The world a configuration file implies: namespaces, networks, addresses, routes.

The problem: a file names addresses and interfaces, and a rehearsal needs machines with cables. The
approach: one network (a bridge) per interface name the virtual routers use; a namespace for each
director, for each real server and for one client; every address the file names where it belongs,
and spare ones where the file is silent. The rules:

- Where directors call their interfaces on one network differently, each has its own name for it.
- A director has its own `address` in the subnet that holds it, and a spare one in every other.
- The client has a spare address in the subnet of each service's virtual address.
- A server sits on the network whose subnet holds it; one that fits nowhere, on the last network.
- NAT servers reply through a virtual address of their own network (also to a client beside them).
- DR servers hold the virtual address on `lo`, TUN servers on their tunnel device, both silent about
  it in ARP; where they have no address in the client's subnet they get a second leg there.

Pure: from values to values. It must never depend on the host it is computed on, and the same file
gives the same world, except for the prefix of the namespaces' names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from typing import Final

from hadirector import elections
from hadirector.config.model import Config, Server, Service
from hadirector.ipvs.model import Forward
from hadirector.lab.cabling import interface_names, routers_on_networks, sources
from hadirector.lab.errors import LabError
from hadirector.lab.marks import Marking, addresses_of, marked
from hadirector.lab.roles import Listener, listeners_of, server_addresses, servers_of
from hadirector.lab.spares import Address, Interface, Spares, Subnet, subnet_of
from hadirector.lab.sysctls import (
    BASE_SYSCTLS,
    CLIENT_SYSCTLS,
    DIRECTOR_SYSCTLS,
    SILENT_SYSCTLS,
    THROUGH_VIP_SYSCTLS,
)
from hadirector.lab.tunnels import TunnelEnd, tunnel_end

SERVERS_MAX: Final = 200
"""One namespace and one process per real server; more belong into a benchmark, not a rehearsal."""
DEFAULT_INTERFACE: Final = "eth0"


@dataclass(frozen=True, slots=True)
class Network:
    """One layer-2 network: a bridge, named after the directors' interface on it.

    `names` are directors that call that interface otherwise, each with its name for it.
    """

    interface: str
    bridge: str
    subnets: tuple[Subnet, ...]
    virtual: tuple[Interface, ...]
    names: tuple[tuple[str, str], ...] = ()

    def interface_of(self, machine: str) -> str:
        """What a machine calls its interface here."""
        return dict(self.names).get(machine, self.interface)


@dataclass(frozen=True, slots=True)
class Leg:
    """An interface of a machine, the bridge port (`port`) it is plugged into, its addresses."""

    interface: str
    bridge: str
    port: str
    addresses: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A route by a neighbour that need not be in a subnet of the interface."""

    destination: str
    via: Address
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One namespace. `silent` are addresses that it holds on `lo` or a tunnel device, for itself.

    `sysctls` are set before the interfaces exist (they inherit `default`), below /proc/sys.
    `tunnels` are what unwraps the packets that directors send it through tunnels; `marks` what a
    firewall would do; `made_devices` are interfaces that its programs make, and no reboot leaves.
    """

    name: str
    namespace: str
    legs: tuple[Leg, ...]
    silent: tuple[tuple[str, Interface], ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    tunnels: tuple[TunnelEnd, ...] = ()
    marks: tuple[Marking, ...] = ()
    made_devices: frozenset[str] = frozenset()

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Its addresses on its networks; the first is the one the file names, where it does."""
        return tuple(address for leg in self.legs for address in leg.addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """A real server: its machine, its address, the ports it serves.

    `udp_addresses`: a UDP reply must come from the address that was asked, so these are bound.
    """

    name: str
    address: Address
    machine: Machine
    listeners: tuple[Listener, ...]
    udp_addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything. `fabric` is the namespace of the bridges; `remarks` say what was guessed."""

    prefix: str
    fabric: str
    networks: tuple[Network, ...]
    directors: Mapping[str, Machine]
    client: Machine
    servers: Mapping[str, RealServer]
    remarks: tuple[str, ...] = ()

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines: directors, client, servers."""
        servers = (server.machine for server in self.servers.values())
        return (*self.directors.values(), self.client, *servers)

    @property
    def virtual_addresses(self) -> tuple[Interface, ...]:
        """The addresses that the directors pass between them."""
        return tuple(address for network in self.networks for address in network.virtual)


def build_world(config: Config, *, prefix: str) -> World:
    """The world of a configuration. Raises LabError where the file leaves no room for one."""
    return _Builder(config, prefix).build()


def is_link_local(address: Interface) -> bool:
    """Whether it is an IPv6 address that each link has for itself: it makes no network."""
    return address.version == 6 and address.is_link_local


class _Builder:
    """Holds what is decided so far while the world is built; used once."""

    def __init__(self, config: Config, prefix: str) -> None:
        self._config = config
        self._prefix = prefix
        self._servers = server_addresses(config)
        if len(self._servers) > SERVERS_MAX:
            raise LabError(
                f"the file names {len(self._servers)} real servers; the lab holds at most "
                f"{SERVERS_MAX}: rehearse a part of it"
            )
        self._remarks: list[str] = []
        self._marks = marked(config)
        self._networks = self._find_networks()
        self._spares = Spares(self._named_addresses())
        self._ports = 0

    def build(self) -> World:
        """Directors first, then the client, then the servers, which look at both."""
        directors = {name: self._director(name) for name in self._config.nodes}
        client = self._client()
        servers = {str(address): self._server(address, client) for address in self._servers}
        return World(
            prefix=self._prefix,
            fabric=f"{self._prefix}fabric",
            networks=self._networks,
            directors=directors,
            client=client,
            servers=servers,
            remarks=tuple(self._remarks),
        )

    # Networks

    def _named_addresses(self) -> Iterable[Address]:
        yield from (node.address for node in self._config.nodes.values())
        yield from (source for name in self._config.nodes for source in sources(self._config, name))
        yield from self._servers
        yield from (address.ip for network in self._networks for address in network.virtual)
        for service in self._config.services:
            yield from addresses_of(service, self._marks)

    def _find_networks(self) -> tuple[Network, ...]:
        """One network per interface name; addresses that fit nowhere bring their subnet along."""
        virtual: dict[str, list[Interface]] = {}
        names = interface_names(self._config)
        for router, network in routers_on_networks(self._config):
            virtual.setdefault(network, []).extend(router.all_addresses)
        virtual = virtual or {DEFAULT_INTERFACE: []}
        subnets = {
            name: [subnet_of(each) for each in found if not is_link_local(each)]
            for name, found in virtual.items()
        }
        first, last = next(iter(subnets)), list(subnets)[-1]
        listening = [
            address
            for service in self._config.services
            for address in addresses_of(service, self._marks)
        ]
        strangers: list[tuple[str, Address, str]] = [
            *(
                (f"director {name}", node.address, first)
                for name, node in self._config.nodes.items()
            ),
            *(
                (f"director {name}", source, first)
                for name in self._config.nodes
                for source in sources(self._config, name)
            ),
            *(("service", address, first) for address in listening),
            *(("server", address, last) for address in self._servers),
        ]
        for what, address, home in strangers:
            if not any(address in subnet for found in subnets.values() for subnet in found):
                subnets[home].append(subnet_of(address))
                self._remarks.append(
                    f"no virtual address is in the subnet of {what} {address}: "
                    f"{subnet_of(address)} taken to be on {home}"
                )
        return tuple(
            Network(
                name,
                f"br{number}",
                tuple(dict.fromkeys(found)),
                tuple(virtual[name]),
                tuple(pair for pair in names.get(name, {}).items() if pair[1] != name),
            )
            for number, (name, found) in enumerate(subnets.items())
        )

    def _place_of(self, address: Address) -> tuple[Network, Subnet]:
        """The network and the narrowest of its subnets that hold an address."""
        places = [
            (subnet.prefixlen, network, subnet)
            for network in self._networks
            for subnet in network.subnets
            if address in subnet
        ]
        _, network, subnet = max(places, key=lambda place: place[0])
        return network, subnet

    # Machines

    def _machine(
        self,
        name: str,
        addresses: Mapping[str, list[Interface]],
        sysctls: Mapping[str, str],
        *,
        silent: Iterable[tuple[str, Interface]] = (),
        routes: Iterable[Route] = (),
        tunnels: Iterable[TunnelEnd] = (),
    ) -> Machine:
        legs = []
        for network in self._networks:
            if network.interface in addresses:
                port = f"p{self._ports}"
                self._ports += 1
                held = tuple(addresses[network.interface])
                legs.append(Leg(network.interface_of(name), network.bridge, port, held))
        return Machine(
            name=name,
            namespace=self._prefix + name.replace(":", "-"),
            legs=tuple(legs),
            silent=tuple(dict.fromkeys(silent)),
            routes=tuple(dict.fromkeys(routes)),
            sysctls=sysctls,
            tunnels=tuple(dict.fromkeys(tunnels)),
        )

    def _director(self, name: str) -> Machine:
        own = self._config.nodes[name].address
        home, home_subnet = self._place_of(own)
        addresses: dict[str, list[Interface]] = defaultdict(list)
        addresses[home.interface].append(ip_interface(f"{own}/{home_subnet.prefixlen}"))
        served = {home_subnet}
        for source in dict.fromkeys(sources(self._config, name)):
            network, subnet = self._place_of(source)
            served.add(subnet)
            addresses[network.interface].append(ip_interface(f"{source}/{subnet.prefixlen}"))
        for network in self._networks:
            for subnet in network.subnets:
                if subnet not in served:
                    addresses[network.interface].append(self._spares.take(subnet))
        marks = tuple(
            Marking(self._place_of(at.address)[0].interface_of(name), key.mark, at)
            for key, at in self._marks.items()
        )
        probed = any(one.probe_mark for each in self._config.services for one in each.checked)
        sysctls = DIRECTOR_SYSCTLS | (THROUGH_VIP_SYSCTLS if probed else {})
        settings = elections.router_settings(self._config, name)
        return replace(
            self._machine(name, addresses, sysctls),
            marks=marks,
            made_devices=frozenset(one.device for one in settings if one.virtual_mac),
        )

    def _client(self) -> Machine:
        addresses: dict[str, list[Interface]] = defaultdict(list)
        places = [
            self._place_of(address)
            for service in self._config.services
            for address in addresses_of(service, self._marks)
        ]
        for network, subnet in dict.fromkeys(places):
            addresses[network.interface].append(self._spares.take(subnet))
        if not addresses:
            network = self._networks[0]
            addresses[network.interface].append(self._spares.take(network.subnets[0]))
        return self._machine("client", addresses, CLIENT_SYSCTLS)

    def _server(self, address: Address, client: Machine) -> RealServer:
        """One real server with whatever its services' forwarding methods ask of it."""
        network, subnet = self._place_of(address)
        addresses: dict[str, list[Interface]] = {
            network.interface: [ip_interface(f"{address}/{subnet.prefixlen}")]
        }
        silent: list[tuple[str, Interface]] = []
        routes: list[Route] = []
        tunnels: list[TunnelEnd] = []
        for service, server in self._uses_of(address):
            forward = service.forward if server.forward is None else server.forward
            if forward == Forward.NAT:
                routes.extend(self._reply_routes(address, network, subnet, client))
                continue
            for vip in addresses_of(service, self._marks):
                device = "lo"
                if forward == Forward.TUN:
                    tunnels.append(tunnel_end(address, vip.version, server.tunnel))
                    device = tunnels[-1].device
                silent.append((device, ip_interface(vip)))
                self._uplink(addresses, vip)
        sysctls = BASE_SYSCTLS | (SILENT_SYSCTLS if silent else {})
        name = str(address)
        return RealServer(
            name=name,
            address=address,
            machine=self._machine(
                name, addresses, sysctls, silent=silent, routes=routes, tunnels=tunnels
            ),
            listeners=listeners_of(self._config, address),
            udp_addresses=(address, *dict.fromkeys(each.ip for _, each in silent)),
        )

    def _uses_of(self, address: Address) -> list[tuple[Service, Server]]:
        """Each entry of a server in a service: it may say more than its service does."""
        return [
            (service, server)
            for service in self._config.services
            for server in servers_of(service)
            if server.address == address
        ]

    def _uplink(self, addresses: dict[str, list[Interface]], vip: Address) -> None:
        """Give a server an address from which it reaches the service's clients by itself."""
        network, subnet = self._place_of(vip)
        held = addresses.setdefault(network.interface, [])
        if not any(each.ip in subnet for each in held):
            held.append(self._spares.take(subnet))

    def _reply_routes(
        self, address: Address, network: Network, subnet: Subnet, client: Machine
    ) -> Iterable[Route]:
        """The way back of NAT: whatever leaves the server passes the active director."""
        same = [
            each.ip
            for each in network.virtual
            if each.version == address.version and not is_link_local(each)
        ]
        inside = [each for each in same if each in subnet] or same
        if not inside:
            remark = f"NAT replies of {address} find no virtual address on {network.interface}"
            self._remarks.append(remark)
            return
        yield Route("default", inside[0], network.interface)
        for each in client.addresses:
            if each.ip in subnet:
                # A client beside the server would be answered directly, past the director.
                yield Route(str(each.ip), inside[0], network.interface)
