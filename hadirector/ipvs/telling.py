"""What a director's kernel holds of connections, put into sync datagrams: all of it, once.

The problem: the kernel tells its peer of a connection when it stands and while packets flow. One
that is silent is never told of a second time, so a director that comes back with an empty table
does not learn of it, and the client loses it with the next change of role. The approach: the lines
of /proc/net/ip_vs_conn become records as the kernel itself would send them
(``ip_vs_sync_conn`` in ``net/netfilter/ipvs/ip_vs_sync.c``). What such a line does not say comes
from the table: the forwarding method, the mark of a service by firewall mark, the timeout of a
persistence template. What neither says cannot be made up, and is left out and counted:

* a connection by NAT under the kernel's FTP helper, whose corrections of sequence numbers are
  nowhere to be read;
* one whose service or server is not in the table any more.

A connection that begins or ends is none to tell of: the kernel does, in its time.

Never: I/O, or more kept than a datagram and a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from hadirector.ipvs.connections import Connection, parse_connection
from hadirector.ipvs.model import (
    Address,
    Destination,
    DestinationKey,
    Entry,
    FirewallMark,
    Forward,
    Protocol,
    Service,
    Table,
)
from hadirector.ipvs.syncproto import (
    ENGINE_DATA_MAX,
    ENGINE_NAME_MAX,
    F_INACTIVE,
    F_TEMPLATE,
    HEADER_OCTETS,
    NO_OPTIONS,
    RECORDS_MAX,
    Options,
    SyncMessage,
    SyncRecord,
    encode,
    record_octets,
)

SAMPLE_MAX: Final = 500
_HEADING: Final = "Pro "
_TIMEOUT_MAX: Final = 0xFFFFFFFF
_ESTABLISHED: Final = "ESTABLISHED"
_LISTEN: Final = "LISTEN"
_ASSURED: Final = "ASSURED"
_STATES: Final = {
    "TCP": {_ESTABLISHED: 1, "FIN_WAIT": 4, "CLOSE_WAIT": 7},
    "SCTP": {_ESTABLISHED: 8, "SHUTDOWN_SENT": 9, "SHUTDOWN_RECEIVED": 10, "SHUTDOWN_ACK_SENT": 11},
    "UDP": {"UDP": 0},
}
"""The states of connections that go on or wait for the end of one side, by the kernel's words."""
_PROTOCOLS: Final = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
_BY_MARK: Final = "IP"
"""What the kernel calls the protocol of a firewall mark's template; its number is 0."""


class LeftOut(StrEnum):
    """Why a connection that goes on was not told of."""

    FTP = "ftp"
    NO_SERVER = "not in the table"
    LINE = "not understood"


class Owners:
    """The table, asked for the service and the server of a connection."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._by_address: dict[tuple[str, Address, int], Entry] = {}
        self._by_server: dict[tuple[int, Address], list[tuple[FirewallMark, Entry]]] = {}
        for key, entry in table.items():
            if not isinstance(key, FirewallMark):
                self._by_address[str(key.protocol).upper(), key.address, key.port] = entry
                continue
            for address in {server.address for server in entry.destinations}:
                self._by_server.setdefault((key.version, address), []).append((key, entry))

    def of(self, one: Connection) -> tuple[Service, Destination, int] | None:
        """Its service, server and firewall mark (0: none); None where the table has them not."""
        if one.protocol == _BY_MARK:
            mark = int.from_bytes(one.virtual.address.packed[:4], "big")
            key = FirewallMark(mark, one.client.address.version) if mark else None
            return _owned(self._table.get(key) if key else None, one.server, mark)
        for port in (one.virtual.port, 0):
            entry = self._by_address.get((one.protocol, one.virtual.address, port))
            if entry is not None:
                return _owned(entry, one.server, 0)
        # By a firewall mark, which the line does not show. Where several have this server, any of
        # them leads to it, and the kernel of the peer asks no more of a connection that stands.
        for key, entry in self._by_server.get((one.client.address.version, one.server.address), ()):
            if (owned := _owned(entry, one.server, key.mark)) is not None:
                return owned
        return None


def _owned(
    entry: Entry | None, server: DestinationKey, mark: int
) -> tuple[Service, Destination, int] | None:
    """With its destination: of this port, of any, or (a template's server has port 0) the first."""
    if entry is None:
        return None
    found = entry.destinations.get(server) or entry.destinations.get(
        DestinationKey(server.address, 0)
    )
    if found is None and server.port == 0:
        same = (one for one in entry.destinations.values() if one.key.address == server.address)
        found = next(same, None)
    return None if found is None else (entry.service, found, mark)


def record_of(
    one: Connection, owners: Owners, *, ftp_ports: frozenset[int] = frozenset()
) -> SyncRecord | LeftOut | None:
    """The record that tells of a connection; None where there is nothing to tell: it begins, ends.

    `ftp_ports`: those that the kernel's FTP helper looks at; empty where it is not there.
    """
    if one.is_template and one.state == _LISTEN:  # no template: the helper expects a connection
        return LeftOut.FTP
    state = _state(one)
    if state is None:
        return None
    owned = owners.of(one)
    if owned is None:
        return LeftOut.NO_SERVER
    service, server, mark = owned
    helped = one.protocol == "TCP" and one.virtual.port in ftp_ports and not one.is_template
    if helped and server.forward is Forward.NAT:
        return LeftOut.FTP
    timeout_s = one.expires_s
    if one.is_template:
        if service.persistence is None:
            return LeftOut.NO_SERVER
        timeout_s = service.persistence.timeout_s  # it begins anew with each of its connections
    options = _options(one)
    if options is None or not 0 <= timeout_s <= _TIMEOUT_MAX:
        return LeftOut.LINE
    return SyncRecord(
        kind=int(one.client.address.version == 6),
        protocol=int(_PROTOCOLS.get(one.protocol, 0)),
        length=0,  # the encoder's
        flags=int(server.forward) | _flags(one),
        state=state,
        client_port=one.client.port,
        virtual_port=one.virtual.port,
        server_port=one.server.port,
        mark=mark,
        timeout_s=max(1, timeout_s),  # with 0, the peer would give it a whole timeout again
        client_address=one.client.address.packed,
        virtual_address=one.virtual.address.packed,
        server_address=one.server.address.packed,
        options=options,
    )


def _state(one: Connection) -> int | None:
    if one.is_template:
        return int(one.state == _ASSURED)
    return _STATES.get(one.protocol, {}).get(one.state)


def _flags(one: Connection) -> int:
    if one.is_template:
        return F_TEMPLATE
    return 0 if one.state == _ESTABLISHED else F_INACTIVE


def _options(one: Connection) -> Options | None:
    """What a persistence engine keeps; None where it does not fit."""
    if not one.engine or not one.data:
        return NO_OPTIONS
    engine, data = one.engine.encode(), one.data.encode()
    if len(engine) > ENGINE_NAME_MAX or len(data) > ENGINE_DATA_MAX:
        return None
    return Options(engine=engine, engine_data=data)


class Telling:
    """One telling: lines go in, datagrams come out. Not to be used again."""

    def __init__(
        self,
        table: Table,
        *,
        sync_id: int,
        octets_max: int,
        ftp_ports: frozenset[int] = frozenset(),
    ) -> None:
        """`octets_max`: of a datagram, without the headers of UDP and IP."""
        self._owners = Owners(table)
        self._sync_id = sync_id
        self._octets_max = octets_max
        self._ftp_ports = ftp_ports
        self._pending: list[SyncRecord] = []
        self._octets = HEADER_OCTETS
        self._stride = 1
        self.told = 0
        self.left_out: Counter[LeftOut] = Counter()
        self.sample: list[str] = []
        """Keys as `peer.steady` spells them, from all over the table."""

    def feed(self, lines: Iterable[str]) -> list[bytes]:
        """Take in lines; the datagrams that became full. Headings are passed over."""
        full: list[bytes] = []
        for line in lines:
            if line.startswith(_HEADING):
                continue
            one = parse_connection(line)
            found = (
                LeftOut.LINE
                if one is None
                else record_of(one, self._owners, ftp_ports=self._ftp_ports)
            )
            if isinstance(found, LeftOut):
                self.left_out[found] += 1
            elif found is not None:
                self._sample(line)
                self.told += 1
                full += self._add(found)
        return full

    def finish(self) -> list[bytes]:
        """The last datagram, if anything is left for it."""
        if not self._pending:
            return []
        datagram = encode(SyncMessage(1, self._sync_id, tuple(self._pending)))
        self._pending, self._octets = [], HEADER_OCTETS
        return [datagram]

    def _add(self, record: SyncRecord) -> list[bytes]:
        octets, full = record_octets(record), []
        if self._octets + octets > self._octets_max or len(self._pending) == RECORDS_MAX:
            full = self.finish()
        self._pending.append(record)
        self._octets += octets
        return full

    def _sample(self, line: str) -> None:
        """Every so many-th, however many there will be."""
        if self.told % self._stride:
            return
        if len(self.sample) == SAMPLE_MAX:
            self.sample = self.sample[::2]
            self._stride *= 2
            if self.told % self._stride:
                return
        self.sample.append(key_of(line))


def key_of(line: str) -> str:
    """The client's and the virtual address with their ports, as both kernels spell them."""
    return " ".join(line.split(None, 5)[1:5])
