"""What unwraps a tunnel on a real server, by its type and by the IP versions outside and inside.

The problem: IPVS wraps packets in four ways, and each wants something else on the server. The
approach: a tunnel's end is the device that then holds the virtual address, and the `ip` lines that
make it. The kernel's own devices serve where they can: `tunl0` and `sit0` unwrap from anybody, also
what a GUE port hands on to them. For IPv6 outside and for GRE the lab makes devices.

Pure. It must never depend on the host it is computed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hadirector.ipvs.model import Tunnel, TunnelType
from hadirector.lab.spares import Address

OUTER_IPV6_DEVICE: Final = "unwrap6"
"""The kernel's own ip6tnl0 unwraps only IPv6 in IPv6; this one has mode any."""
GRE_DEVICE: Final = "unwrapgre"
TUNNEL_DEVICE: Final = {
    (4, 4): "tunl0",
    (4, 6): "sit0",
    (6, 4): OUTER_IPV6_DEVICE,
    (6, 6): OUTER_IPV6_DEVICE,
}
"""The device that unwraps IP in IP, by IP version of the server (outside) and of the service."""


@dataclass(frozen=True, slots=True)
class TunnelEnd:
    """A device that unwraps, and the `ip` lines that make it (they come before `link set up`)."""

    device: str
    lines: tuple[str, ...] = ()


def tunnel_end(server: Address, inside: int, tunnel: Tunnel) -> TunnelEnd:
    """What the server needs to unwrap packets of IP version `inside` that were wrapped so."""
    if tunnel.type is TunnelType.GRE:
        # A GRE device drops what has a checksum unless it expects one, and the reverse.
        kind = "gre" if server.version == 4 else "ip6gre"
        anybody = "any" if server.version == 4 else "::"
        checksum = " icsum" if tunnel.flags else ""
        line = f"link add {GRE_DEVICE} type {kind} local {server} remote {anybody}{checksum}"
        return TunnelEnd(GRE_DEVICE, (line,))
    device = TUNNEL_DEVICE[server.version, inside]
    lines = []
    if device == OUTER_IPV6_DEVICE:
        lines.append(f"link add {device} type ip6tnl mode any local {server} remote ::")
    if tunnel.type is TunnelType.GUE:
        lines.append(f"fou add port {tunnel.port} gue{' -6' if server.version == 6 else ''}")
    return TunnelEnd(device, tuple(lines))
