"""Arbitrary services, servers and tables, as the kernel would accept them.

Few addresses and few weights, so that two tables drawn one after the other overlap often: that is
where a plan has something to decide.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import strategies as st

from hadirector.ipvs.memory import SCHEDULERS
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    ServiceKey,
    Table,
    Tunnel,
    TunnelType,
    VirtualAddress,
)

VIPS: tuple[IPv4Address | IPv6Address, ...] = (
    ip_address("192.0.2.100"),
    ip_address("192.0.2.101"),
    ip_address("2001:db8::100"),
)
SERVERS: tuple[IPv4Address | IPv6Address, ...] = (
    ip_address("198.51.100.21"),
    ip_address("198.51.100.22"),
    ip_address("2001:db8:51::21"),
)

service_keys: st.SearchStrategy[ServiceKey] = st.one_of(
    st.builds(
        VirtualAddress, st.sampled_from(Protocol), st.sampled_from(VIPS), st.sampled_from([0, 80])
    ),
    st.builds(FirewallMark, st.sampled_from([1, 2**32 - 1]), st.sampled_from([4, 6])),
)

destination_keys = st.builds(
    DestinationKey, st.sampled_from(SERVERS), st.sampled_from([80, 8080, 65535])
)

_netmasks = {
    4: st.sampled_from([None, 0xFFFFFF00, 0xFFFFFFFF, 0xFF00FF00]),
    6: st.sampled_from([None, 1, 64, 128]),
}


@st.composite
def services(draw: st.DrawFn, keys: st.SearchStrategy[ServiceKey] = service_keys) -> Service:
    key = draw(keys)
    persistence = st.builds(
        Persistence,
        st.sampled_from([1, 300, 2**31 // 1000]),
        _netmasks[key.version],
        st.sampled_from(["", "sip"]),
    )
    flags = st.sampled_from([ServiceFlag(bits) for bits in (0, 0x04, 0x08, 0x3C)])
    return Service(
        key,
        draw(st.sampled_from(sorted(SCHEDULERS))),
        draw(st.none() | persistence),
        draw(flags),
    )


@st.composite
def destinations(
    draw: st.DrawFn, version: int, keys: st.SearchStrategy[DestinationKey] = destination_keys
) -> Destination:
    key = draw(keys)
    mixed = key.address.version != version
    forward = Forward.TUN if mixed else draw(st.sampled_from(Forward))
    upper = draw(st.sampled_from([0, 5, 2**31]))
    tunnel = Tunnel()
    if forward is Forward.TUN:
        kind = draw(st.sampled_from(TunnelType))
        tunnel = Tunnel(kind, 6080 if kind is TunnelType.GUE else 0, draw(st.integers(0, 2)))
    return Destination(
        key,
        forward,
        draw(st.sampled_from([0, 0, 1, 3, 65535, 2**31 - 1])),
        upper,
        draw(st.sampled_from([0, upper])),
        tunnel,
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    entries: dict[ServiceKey, Entry] = {}
    for key in draw(st.lists(service_keys, unique=True, max_size=3)):
        servers = draw(
            st.lists(destinations(key.version), unique_by=lambda server: server.key, max_size=4)
        )
        service = draw(services(st.just(key)))
        entries[key] = Entry(service, {server.key: server for server in servers})
    return Table(entries)
