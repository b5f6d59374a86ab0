"""What is heard of connection sync, added up: who sends, how much, of which services, how wrongly.

The problem: nothing authenticates these datagrams and nobody acknowledges them, so whether the pair
agrees shows only to who listens. The approach: each datagram is decoded and counted, by sender and
by service, with what is not as it should be under a cause of its own; everything kept is bounded,
since anybody may send. What both directors know of is compared with the kernel's connections.

Never: I/O, a clock, a judgement by a damaged datagram.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from hadirector.ipvs.connections import Connection
from hadirector.ipvs.model import Address, DestinationKey
from hadirector.ipvs.syncproto import SyncError, SyncMessage, SyncRecord, decode

SENDERS_MAX: Final = 64
SERVICES_MAX: Final = 1000
CONNECTIONS_MAX: Final = 500_000
FOREIGN = "foreign-id"
OTHER_VERSION = "other-version"

Known: TypeAlias = tuple[int, bytes, int, bytes, int]
"""A connection: protocol, client's address and port, virtual address and port."""

_PROTOCOLS: Final = {"TCP": 6, "UDP": 17, "SCTP": 132}
_ALIVE: Final = frozenset({"established", "normal", "ESTABLISHED", "UDP"})
_IPV4_LEAST: Final = 20
_IPV6_HEADER: Final = 40
_UDP_HEADER: Final = 8


@dataclass(slots=True)
class Sender:
    """Who was heard. `own`: this host itself."""

    own: bool
    datagrams: int = 0
    octets: int = 0
    records: int = 0
    last_at: float = 0.0
    ids: set[int] = field(default_factory=set)
    versions: set[int] = field(default_factory=set)
    wrong: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Datagram:
    """What an IP packet carried."""

    source: Address
    port: int  # it was sent to
    payload: bytes


def datagram_of(packet: bytes) -> Datagram | None:
    """The UDP datagram in an IP packet; None where it is none, or a fragment."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _IPV4_LEAST:
        start, fragment = (packet[0] & 0x0F) * 4, int.from_bytes(packet[6:8], "big") & 0x3FFF
        source: Address = IPv4Address(packet[12:16])
        is_udp = packet[9] == 17 and not fragment
    elif version == 6 and len(packet) >= _IPV6_HEADER:
        start, source, is_udp = _IPV6_HEADER, IPv6Address(packet[8:24]), packet[6] == 17
    else:
        return None
    end = start + int.from_bytes(packet[start + 4 : start + 6], "big")
    if not is_udp or not start + _UDP_HEADER <= end <= len(packet):
        return None
    port = int.from_bytes(packet[start + 2 : start + 4], "big")
    return Datagram(source, port, packet[start + _UDP_HEADER : end])


class Tally:
    """Everything heard so far. `sync_id` None: every id is right."""

    def __init__(self, *, sync_id: int | None, version: int = 1, now: float) -> None:
        self.senders: dict[str, Sender] = {}
        self.services: Counter[tuple[str, str]] = Counter()  # records by protocol and address
        self.known: dict[Known, bool] = {}  # of ours: whether it goes on
        self.datagrams = self.octets = self.records = 0
        self.unheard = 0  # of senders, services and connections beyond the bounds
        self._sync_id = sync_id
        self._version = version
        self._began = now

    def hear(self, heard: Datagram, now: float, *, own: bool) -> None:
        """Count one datagram."""
        self.datagrams += 1
        self.octets += len(heard.payload)
        sender = self._sender(str(heard.source), own=own)
        sender.datagrams += 1
        sender.octets += len(heard.payload)
        sender.last_at = now
        try:
            message = decode(heard.payload)
        except SyncError as error:
            sender.wrong[error.cause] += 1
            return
        sender.ids.add(message.sync_id)
        sender.versions.add(message.version)
        sender.records += len(message.records)
        self.records += len(message.records)
        if message.version != self._version:
            sender.wrong[OTHER_VERSION] += 1
        if self._sync_id is not None and message.sync_id != self._sync_id:
            sender.wrong[FOREIGN] += 1  # the kernel passes it over, and so do we
            return
        self._count(message)

    def seconds(self, now: float) -> float:
        """For how long it has listened."""
        return max(now - self._began, 1e-9)

    def _sender(self, name: str, *, own: bool) -> Sender:
        found = self.senders.get(name)
        if found is None:
            found = Sender(own)
            if len(self.senders) < SENDERS_MAX:
                self.senders[name] = found
            else:
                self.unheard += 1
        return found

    def _count(self, message: SyncMessage) -> None:
        by_service: Counter[tuple[int, bytes, int, int]] = Counter()
        samples: dict[tuple[int, bytes, int, int], SyncRecord] = {}
        for one in message.records:
            which = one.protocol, one.virtual_address, one.virtual_port, one.mark
            by_service[which] += 1
            samples.setdefault(which, one)
            key = known_by(one)
            if key is None:
                continue
            if key in self.known or len(self.known) < CONNECTIONS_MAX:
                self.known[key] = one.state_name in _ALIVE
            else:
                self.unheard += 1
        for which, count in by_service.items():
            service = _service(samples[which])
            if service in self.services or len(self.services) < SERVICES_MAX:
                self.services[service] += count
            else:
                self.unheard += count


def known_by(one: SyncRecord) -> Known | None:
    """The key of a record's connection; None for a persistence template."""
    if one.is_template:
        return None
    return (
        one.protocol, one.client_address, one.client_port, one.virtual_address, one.virtual_port,
    )  # fmt: skip


def _service(one: SyncRecord) -> tuple[str, str]:
    if one.mark:
        return "fwmark", str(one.mark)
    return one.protocol_name, str(one.virtual)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the connections that go on one side knows, the other side knows, too."""

    of: int
    known: int

    @property
    def share(self) -> float | None:
        """0 to 1; None where there is nothing to know."""
        return self.known / self.of if self.of else None


def coverage(tally: Tally, local: Iterable[Connection]) -> tuple[Coverage, Coverage]:
    """Of those heard of, how many the kernel here has; of those it has, how many were heard of."""
    here = _here(local)
    heard = [key for key, alive in tally.known.items() if alive]
    alive = [key for key, goes_on in here.items() if goes_on]
    return (
        Coverage(len(heard), sum(key in here for key in heard)),
        Coverage(len(alive), sum(key in tally.known for key in alive)),
    )


class Lag:
    """How long after a connection begins here the other side is told of it, by looking again and
    again: as exact as the time between two looks."""

    def __init__(self) -> None:
        self.told_after_s: list[float] = []
        self._before: set[Known] | None = None
        self._looked_at = 0.0
        self._since: dict[Known, float] = {}  # the look before the one that saw it first

    def look(self, tally: Tally, local: Iterable[Connection], now: float) -> None:
        """See which connections are new since the last look, and which have been told of."""
        here = {key for key, goes_on in _here(local).items() if goes_on}
        if self._before is not None:
            self._since.update(dict.fromkeys(here - self._before, self._looked_at))
        for key, since in list(self._since.items()):
            if key in tally.known:
                self.told_after_s.append(now - since)
            if key in tally.known or key not in here:
                del self._since[key]
        self._before, self._looked_at = here, now

    def waiting_s(self, now: float) -> list[float]:
        """Of those that go on and have not been told of: for how long."""
        return [now - since for since in self._since.values()]


def _here(local: Iterable[Connection]) -> dict[Known, bool]:
    """The kernel's connections, and whether each goes on."""
    here: dict[Known, bool] = {}
    for one in local:
        protocol = _PROTOCOLS.get(one.protocol)
        if protocol is not None and not one.is_template:
            here[protocol, *_end(one.client), *_end(one.virtual)] = one.state in _ALIVE
    return here


def _end(key: DestinationKey) -> tuple[bytes, int]:
    return key.address.packed, key.port
