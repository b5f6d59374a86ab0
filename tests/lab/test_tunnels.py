from ipaddress import ip_address

import pytest

from hadirector.ipvs.model import Tunnel, TunnelType
from hadirector.lab.tunnels import tunnel_end

IPV4, IPV6 = "203.0.113.5", "2001:db8:5::21"


@pytest.mark.parametrize(
    ("server", "inside", "tunnel", "device", "lines"),
    [
        (IPV4, 4, Tunnel(), "tunl0", []),
        (IPV4, 6, Tunnel(), "sit0", []),
        (IPV4, 4, Tunnel(TunnelType.GUE, 6080), "tunl0", ["fou add port 6080 gue"]),
        (
            IPV6,
            4,
            Tunnel(TunnelType.GUE, 6080, 1),
            "unwrap6",
            [
                f"link add unwrap6 type ip6tnl mode any local {IPV6} remote ::",
                "fou add port 6080 gue -6",
            ],
        ),
        (
            IPV4,
            6,
            Tunnel(TunnelType.GRE),
            "unwrapgre",
            [f"link add unwrapgre type gre local {IPV4} remote any"],
        ),
        (
            IPV6,
            6,
            Tunnel(TunnelType.GRE, 0, 1),
            "unwrapgre",
            [f"link add unwrapgre type ip6gre local {IPV6} remote :: icsum"],
        ),
    ],
)
def test_the_end_of_each_kind_of_tunnel(
    server: str, inside: int, tunnel: Tunnel, device: str, lines: list[str]
) -> None:
    end = tunnel_end(ip_address(server), inside, tunnel)
    assert (end.device, list(end.lines)) == (device, lines)
