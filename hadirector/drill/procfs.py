"""The kernel's own words on its IPVS table: `/proc/net/ip_vs` as a second opinion. Pure parsing.

The drills must not judge hadirector by hadirector's own reading of the kernel, so they read the
file that operators know (`ip_vs_info_seq_show` in net/netfilter/ipvs/ip_vs_ctl.c): services
without, servers with an arrow; addresses and ports in hexadecimal, IPv6 in brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_SERVER = re.compile(r"^  -> (\S+):([0-9A-F]{4})\s+(\S+)\s+(\d+)\s+\d+\s+\d+\s*$")
_SERVICE = re.compile(r"^(TCP|UDP|SCTP|FWM) +(\S+) (\S+) ?(.*)$")


@dataclass(frozen=True, slots=True)
class Line:
    """One server of one service, as the kernel shows it, without its counters."""

    service: str  # "TCP 192.0.2.100:80 wlc", with the persistence where there is one
    server: str  # "198.51.100.21:8080", as the configuration writes it; "" for the service itself
    forward: str  # the kernel's word: Masq, Route, Tunnel
    weight: int


def parse(text: str) -> frozenset[Line]:
    """The services and servers of the file; the counters, which always move, are left out."""
    lines: set[Line] = set()
    service = ""
    for row in text.splitlines():
        if found := _SERVICE.match(row):
            protocol, address, scheduler, options = found.groups()
            where = address if protocol == "FWM" else _join(*address.rsplit(":", 1))
            service = f"{protocol} {where} {scheduler} {options}".strip()
            lines.add(Line(service, "", "", 0))
        elif found := _SERVER.match(row):
            address, port, forward, weight = found.groups()
            lines.add(Line(service, _join(address, port), forward, int(weight)))
    return frozenset(lines)


def _join(address: str, port: str) -> str:
    if address.startswith("["):
        return f"[{IPv6Address(address.strip('[]'))}]:{int(port, 16)}"
    return f"{IPv4Address(int(address, 16))}:{int(port, 16)}"
