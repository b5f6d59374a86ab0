"""Configurations for the lab's tests, as values: one of each kind of server."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.options import CheckOptions
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from hadirector.config.model import Config, HealthCheck, Node, Server, Service
from hadirector.ipvs.model import Forward, Protocol, VirtualAddress
from vrrp.config import VirtualRouter

VIP = "192.0.2.100"


def check(options: CheckOptions) -> HealthCheck:
    return HealthCheck(kind=options.kind, options=options, timing=Timing())


def server(address: str, port: int, options: CheckOptions | None = None) -> Server:
    checked = None if options is None else check(options)
    return Server(address=ip_address(address), port=port, check=checked)


def service(
    name: str, port: int, forward: Forward, *servers: Server, protocol: Protocol = Protocol.TCP
) -> Service:
    return Service(
        name=name,
        listen=VirtualAddress(protocol, ip_address(VIP), port),
        scheduler="rr",
        forward=forward,
        check=check(TcpOptions()),
        servers=servers,
    )


def router(name: str, vrid: int, interface: str, *addresses: str) -> VirtualRouter:
    return VirtualRouter(
        name=name, vrid=vrid, interface=interface, addresses=tuple(map(ip_interface, addresses))
    )


FRONT = router("front", 51, "eth0", f"{VIP}/24")
BACK = router("back", 52, "eth1", "198.51.100.1/24")
NODES = {
    "lb1": Node(ip_address("192.0.2.11"), 254),
    "lb2": Node(ip_address("192.0.2.12"), 253),
}
HEALTHZ = HttpOptions(path="/healthz", status="204", contains=None)

NAT = service(
    "nat",
    80,
    Forward.NAT,
    server("198.51.100.21", 8080, HEALTHZ),
    server("198.51.100.22", 8080, HEALTHZ),
)
ONE_ARMED = service("one-armed", 81, Forward.NAT, server("192.0.2.40", 81))
TLS = service(
    "tls",
    443,
    Forward.NAT,
    server("198.51.100.50", 443, HttpsOptions(path="/healthz", host="www.example.org")),
)
DR = service("dr", 82, Forward.DR, server("192.0.2.31", 82), server("192.0.2.32", 82))
DR_BEHIND = service("dr-behind", 83, Forward.DR, server("198.51.100.31", 83))
TUN = service("tun", 84, Forward.TUN, server("203.0.113.5", 84))
TUN6 = service("tun6", 85, Forward.TUN, server("2001:db8:5::21", 85))
NAT_UDP = service("nat-udp", 53, Forward.NAT, server("198.51.100.21", 53), protocol=Protocol.UDP)
DR_UDP = service("dr-udp", 54, Forward.DR, server("192.0.2.31", 54), protocol=Protocol.UDP)
TUN_UDP = service("tun-udp", 55, Forward.TUN, server("203.0.113.5", 55), protocol=Protocol.UDP)

EVERYTHING = Config(
    nodes=NODES,
    virtual_routers=(FRONT, BACK),
    services=(NAT, TLS, ONE_ARMED, DR, DR_BEHIND, TUN, TUN6, NAT_UDP, DR_UDP, TUN_UDP),
)


def config_of(*services: Service, routers: tuple[VirtualRouter, ...] = (FRONT, BACK)) -> Config:
    return Config(nodes=NODES, virtual_routers=routers, services=services)
