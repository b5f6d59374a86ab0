"""The kernel's connections, from the only place where it shows them: /proc/net/ip_vs_conn.

The problem: there may be millions, as one line each (``ip_vs_conn_seq_show`` in
``net/netfilter/ipvs/ip_vs_conn.c``): IPv4 addresses and ports in hexadecimal, IPv6 written out. The
approach: one line in, one value out, and a filter that is asked about each; whoever reads keeps
only the line at hand. A line of a newer kernel that is not understood is counted, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hadirector.ipvs.model import Address, DestinationKey, FirewallMark, Service

_COLUMNS = 9
_HEADING = "Pro "


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection, or a persistence template (client port 0): where its next ones go.

    ``protocol`` is the kernel's word (TCP, UDP, SCTP; IP for a template of a firewall mark, whose
    ``virtual`` address holds the mark). ``engine`` and ``data`` are a persistence engine's.
    """

    protocol: str
    client: DestinationKey
    virtual: DestinationKey
    server: DestinationKey
    state: str
    expires_s: int
    engine: str = ""
    data: str = ""

    @property
    def is_template(self) -> bool:
        """Whether this is no connection but what persistence remembers of a client."""
        return self.client.port == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What to show; None: all. ``templates``: persistence templates alone, or none of them."""

    client: IPv4Network | IPv6Network | None = None
    virtual: DestinationKey | None = None
    server: DestinationKey | None = None
    protocol: str | None = None
    state: str | None = None
    templates: bool | None = None

    def admits(self, one: Connection) -> bool:
        """Whether this connection is to be shown. A port of 0 in the filter means any."""
        return (
            (self.client is None or one.client.address in self.client)
            and _matches(self.virtual, one.virtual)
            and _matches(self.server, one.server)
            and (self.protocol is None or one.protocol == self.protocol)
            and (self.state is None or one.state == self.state)
            and (self.templates is None or one.is_template == self.templates)
        )


def parse_connections(lines: Iterable[str]) -> Iterator[Connection | None]:
    """The connections of these lines; None for one that is not understood."""
    for line in lines:
        if not line.startswith(_HEADING):
            yield parse_connection(line)


def parse_connection(line: str) -> Connection | None:
    """One line; None where it is not understood."""
    words = line.split(None, _COLUMNS + 1)
    if len(words) < _COLUMNS:
        return None
    try:
        return Connection(
            words[0],
            _endpoint(words[1], words[2]),
            _endpoint(words[3], words[4]),
            _endpoint(words[5], words[6]),
            words[7],
            int(words[8]),
            *words[9:10],
            *(word.rstrip("\n") for word in words[10:11]),
        )
    except ValueError:
        return None


def is_template_for(service: Service, client: Address, one: Connection) -> bool:
    """Whether this is what the persistence of a service remembers of a client."""
    kept, key = service.persistence, service.key
    if kept is None or kept.engine or not one.is_template:
        return False
    if isinstance(key, FirewallMark):
        # The kernel keeps the mark where the address would begin (ip_vs_sched_persist).
        word = int.from_bytes(one.virtual.address.packed[:4], "big")
        is_ours = one.protocol == "IP" and word == key.mark
    else:
        is_ours = one.protocol == str(key.protocol).upper() and one.virtual == DestinationKey(
            key.address, key.port
        )
    return is_ours and one.client.address == _network_of(client, kept.netmask)


def _network_of(client: Address, netmask: int | None) -> Address:
    if netmask is None:
        return client
    if isinstance(client, IPv4Address):
        return IPv4Address(int(client) & netmask)
    return IPv6Network((client, netmask), strict=False).network_address


def _endpoint(address: str, port: str) -> DestinationKey:
    return DestinationKey(_address(address), int(port, 16))


def _address(text: str) -> Address:
    return IPv6Address(text) if ":" in text else IPv4Address(int(text, 16))


def _matches(wanted: DestinationKey | None, found: DestinationKey) -> bool:
    return wanted is None or (wanted.address == found.address and wanted.port in (0, found.port))
