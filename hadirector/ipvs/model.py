"""What the kernel's virtual server can be told, as plain values.

The problem: the same service is spoken of by the configuration, the planner, the wire codec, the
memory twin and the reports, and each would be tempted to keep its own idea of it.

The approach: one frozen value per thing the kernel knows, with a key of its own, exactly as the
kernel finds it (``net/netfilter/ipvs/ip_vs_ctl.c``). Values are normalised when they are made, so
``==`` means *same in kernel terms*: two values are equal exactly when writing one over the other
would change nothing. Counters and attributes this program does not know never take part in it.

Never: I/O, policy, or a value that the wire could not carry.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Unknown: TypeAlias = tuple[tuple[int, bytes], ...]
"""Attributes of a newer kernel: (type, payload), in the order received."""

_UINT16_MAX = 0xFFFF
_UINT32_MAX = 0xFFFFFFFF
_INT32_MAX = 0x7FFFFFFF
_SCHEDULER_NAME_MAX = 15  # IP_VS_SCHEDNAME_MAXLEN - 1
_WHOLE_TEXT_MAX = 100  # services; of a larger table, `repr` tells their number alone


def _socket_text(address: Address, port: int) -> str:
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def _netmask_text(netmask: int) -> str:
    return f"/{netmask}" if netmask <= 128 else f"{IPv4Address(netmask)}"


def _check_range(what: str, value: int, maximum: int) -> None:
    if not 0 <= value <= maximum:
        raise ValueError(f"{what} {value} is outside 0..{maximum}")


def _check_name(what: str, name: str) -> None:
    if len(name.encode()) > _SCHEDULER_NAME_MAX or "\0" in name:
        raise ValueError(f"{what} {name!r} is longer than {_SCHEDULER_NAME_MAX} bytes or not text")


def _check_address(address: Address) -> None:
    # The kernel's key has no scope: with one, an entry would never equal what is read back.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{address}: IPVS knows no scoped addresses")


class Protocol(IntEnum):
    """Transport protocols that IPVS balances; the values are IP protocol numbers."""

    TCP = 6
    UDP = 17
    SCTP = 132

    def __str__(self) -> str:
        return self.name.lower()


class Forward(IntEnum):
    """How a packet reaches its real server; the values are the kernel's (``linux/ip_vs.h``)."""

    NAT = 0
    LOCAL = 1
    TUN = 2
    DR = 3
    BYPASS = 4

    def __str__(self) -> str:
        return self.name.lower()


class TunnelType(IntEnum):
    """The wrapping used with ``Forward.TUN``."""

    IPIP = 0
    GUE = 1
    GRE = 2

    def __str__(self) -> str:
        return self.name.lower()


class ServiceFlag(IntFlag):
    """Flags that are not derived from other fields. Bits without a name here are kept."""

    NONE = 0
    ONE_PACKET = 0x04
    SCHEDULER_1 = 0x08
    SCHEDULER_2 = 0x10
    SCHEDULER_3 = 0x20

    def __str__(self) -> str:
        names = [(flag.name or "").lower().replace("_", "-") for flag in self]
        nameless = int(self) & ~sum(int(flag) for flag in ServiceFlag)
        return "+".join(names + [f"0x{nameless:x}"] * bool(nameless)) or "none"


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """The key of a service that listens on an address. Port 0 means every port."""

    protocol: Protocol
    address: Address
    port: int

    def __post_init__(self) -> None:
        _check_address(self.address)
        _check_range("port", self.port, _UINT16_MAX)

    def __hash__(self) -> int:
        # The hash of an address goes by way of its text: too slow for a key of every look-up.
        return hash((int(self.address), self.port))

    @property
    def version(self) -> int:
        """The IP version of the clients: 4 or 6."""
        return self.address.version

    def __str__(self) -> str:
        return f"{self.protocol} {_socket_text(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class FirewallMark:
    """The key of a service that takes the packets carrying a firewall mark (1..2^32-1)."""

    mark: int
    version: int = 4

    def __post_init__(self) -> None:
        if self.mark == 0:
            raise ValueError("firewall mark 0 means no mark")
        _check_range("firewall mark", self.mark, _UINT32_MAX)
        if self.version not in (4, 6):
            raise ValueError(f"IP version {self.version} is neither 4 nor 6")

    def __str__(self) -> str:
        return f"fwmark {self.mark}" + ("" if self.version == 4 else " (IPv6)")


ServiceKey: TypeAlias = VirtualAddress | FirewallMark


@dataclass(frozen=True, slots=True)
class Persistence:
    """Clients of one network stay with their server for ``timeout_s`` seconds after their last use.

    ``netmask`` is what the kernel takes: for IPv4 the mask as a 32-bit number, for IPv6 a prefix
    length (1..128); None: every client address by itself. ``engine`` names a persistence engine
    that reads the client's identity from the payload (``sip``).
    """

    timeout_s: int
    netmask: int | None = None
    engine: str = ""

    def __post_init__(self) -> None:
        _check_range("persistence time-out", self.timeout_s, _UINT32_MAX)
        if self.netmask is not None:
            _check_range("persistence netmask", self.netmask, _UINT32_MAX)
        _check_name("persistence engine", self.engine)

    def __str__(self) -> str:
        words = f"{self.timeout_s} s"
        if self.netmask is not None:
            words += f" netmask {_netmask_text(self.netmask)}"
        return words + (f" engine {self.engine}" if self.engine else "")


_FALLBACK_AND_PORT: Final = {"fallback": ServiceFlag.SCHEDULER_1, "port": ServiceFlag.SCHEDULER_2}
SCHEDULER_FLAGS: Final = {
    f"{scheduler}-{name}": flag
    for scheduler in ("sh", "mh")
    for name, flag in _FALLBACK_AND_PORT.items()
}
"""Flags by name; the part before the dash is the scheduler that knows them."""

HASHES: Final = frozenset({"sh", "mh", "dh"})
"""The schedulers that choose by a hash of the client's address, or of the one it goes to."""


@dataclass(frozen=True, slots=True)
class Service:
    """A virtual service, without its real servers."""

    key: ServiceKey
    scheduler: str = "wlc"
    persistence: Persistence | None = None
    flags: ServiceFlag = ServiceFlag.NONE
    unknown: Unknown = field(default=(), compare=False)

    def __post_init__(self) -> None:
        _check_name("scheduler", self.scheduler)
        if not self.scheduler:
            raise ValueError("a service needs a scheduler")
        kept = self.persistence
        if kept is not None and kept.netmask == whole_netmask(self.key.version):
            # Said or not said, it is the same to the kernel.
            normal = Persistence(kept.timeout_s, None, kept.engine)
            object.__setattr__(self, "persistence", normal)

    @property
    def turns_away_from_drained(self) -> bool:
        """Whether new clients of a server of weight 0 get no other one.

        So do the schedulers that hash, without their fallback (``ip_vs_sh.c``, ``ip_vs_mh.c``;
        ``ip_vs_dh.c`` has none).
        """
        has_fallback = self.scheduler != "dh" and ServiceFlag.SCHEDULER_1 in self.flags
        return self.scheduler in HASHES and not has_fallback

    @property
    def flags_told(self) -> str:
        """Its flags by the names that its scheduler gives them; "none" where it has none."""
        known = [name for name in SCHEDULER_FLAGS if name.startswith(f"{self.scheduler}-")]
        own = [name for name in known if SCHEDULER_FLAGS[name] in self.flags]
        others = self.flags & ~sum(SCHEDULER_FLAGS[name] for name in own)
        return "+".join(own + [str(others)] * bool(others)) or str(ServiceFlag.NONE)

    def __str__(self) -> str:
        words = [f"{self.key}", f"scheduler {self.scheduler}"]
        if self.persistence is not None:
            words.append(f"persistent {self.persistence}")
        if self.flags:
            words.append(f"flags {self.flags_told}")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class DestinationKey:
    """What tells two real servers of one service apart."""

    address: Address
    port: int

    def __post_init__(self) -> None:
        _check_address(self.address)
        _check_range("port", self.port, _UINT16_MAX)

    def __hash__(self) -> int:
        return hash((int(self.address), self.port))

    def __str__(self) -> str:
        return _socket_text(self.address, self.port)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Options of ``Forward.TUN``. ``port`` is for GUE; ``flags`` choose its and GRE's checksums."""

    type: TunnelType = TunnelType.IPIP
    port: int = 0
    flags: int = 0

    def __post_init__(self) -> None:
        _check_range("tunnel port", self.port, _UINT16_MAX)
        _check_range("tunnel flags", self.flags, _UINT16_MAX)

    def __str__(self) -> str:
        words = f"{self.type}"
        if self.port:
            words += f" port {self.port}"
        return words + (f" flags 0x{self.flags:x}" if self.flags else "")


IPIP = Tunnel()


@dataclass(frozen=True, slots=True)
class Destination:
    """A real server within a service.

    ``weight`` 0 means: no new connections, the present ones go on. Above ``upper`` connections
    the server gets no new ones until it falls below ``lower``; 0 means no such threshold.
    """

    key: DestinationKey
    forward: Forward = Forward.NAT
    weight: int = 1
    upper: int = 0
    lower: int = 0
    tunnel: Tunnel = IPIP
    unknown: Unknown = field(default=(), compare=False)

    def __post_init__(self) -> None:
        # A negative weight fits the wire; that the kernel refuses it (ERANGE) is its own affair.
        if not -_INT32_MAX <= self.weight <= _INT32_MAX:
            raise ValueError(f"weight {self.weight} does not fit 32 bits")
        if self.upper or self.lower:
            _check_range("upper threshold", self.upper, _UINT32_MAX)
            _check_range("lower threshold", self.lower, _UINT32_MAX)
        if self.forward is not Forward.TUN and self.tunnel != IPIP:
            raise ValueError(f"tunnel options mean nothing with forward {self.forward}")

    @property
    def usable(self) -> bool:
        """Whether the schedulers may choose this server for a new connection."""
        return self.weight > 0

    def __str__(self) -> str:
        words = f"{self.key}, weight {self.weight}, {self.forward}"
        if self.tunnel != IPIP:
            words += f" {self.tunnel}"
        if self.upper:
            words += f", upper {self.upper}"
        return words + (f", lower {self.lower}" if self.lower else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Totals since the entry was made (or zeroed), and the kernel's smoothed rates per second."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connection_rate: int = 0
    packet_rate_in: int = 0
    packet_rate_out: int = 0
    byte_rate_in: int = 0
    byte_rate_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Connections that a real server has now; ``traffic`` only where the reader asked for it."""

    active: int = 0
    inactive: int = 0
    persistent: int = 0
    traffic: Traffic | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One service with its real servers; the counters are no part of its identity."""

    service: Service
    destinations: Mapping[DestinationKey, Destination]
    counters: Mapping[DestinationKey, Counters] = field(default_factory=dict, compare=False)
    traffic: Traffic | None = field(default=None, compare=False)

    @property
    def usable(self) -> bool:
        """Whether a new connection would find a server."""
        return any(destination.usable for destination in self.destinations.values())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table(Mapping[ServiceKey, Entry]):
    """All services, by key, in the order read or declared. Equality ignores that order.

    ``oddities``: one sentence for each thing seen in the kernel that these values cannot express
    (another program's); such a thing is never touched, and never a reason not to read the rest.
    """

    entries: Mapping[ServiceKey, Entry] = field(default_factory=dict)
    oddities: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # Of a large one short: `asyncio.run` twice makes this text of what it returns, for nothing.
        services = dict(self.entries) if len(self) <= _WHOLE_TEXT_MAX else f"<{len(self)} services>"
        return f"Table({services}, {self.oddities})"

    @classmethod
    def of(cls, *services: tuple[Service, Iterable[Destination]]) -> "Table":
        """The table with these services; ValueError where a service or server comes twice."""
        entries: dict[ServiceKey, Entry] = {}
        for service, destinations in services:
            if service.key in entries:
                raise ValueError(f"{service.key} is there twice")
            listed = tuple(destinations)
            servers = {destination.key: destination for destination in listed}
            if len(servers) < len(listed):
                [(twice, _)] = Counter(each.key for each in listed).most_common(1)
                raise ValueError(f"{service.key} has {twice} twice")
            entries[service.key] = Entry(service, servers)
        return cls(entries)

    def only(self, keys: Iterable[ServiceKey]) -> "Table":
        """The part of it that these services are, as far as they are there."""
        entries = {key: self.entries[key] for key in keys if key in self.entries}
        return Table(entries, self.oddities)

    def __getitem__(self, key: ServiceKey) -> Entry:
        return self.entries[key]

    def __iter__(self) -> Iterator[ServiceKey]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def whole_netmask(version: int) -> int:
    """The netmask that tells all clients apart, as the kernel writes it for this IP version."""
    return _UINT32_MAX if version == 4 else 128
