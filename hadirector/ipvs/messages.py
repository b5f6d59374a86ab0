"""IPVS's own language: values to generic netlink payloads and back, without a socket.

The problem: the kernel asks for every property each time (a ``set`` without a forwarding method
turns DR into NAT), mixes byte orders (ports and IPv4 netmasks are big-endian, the rest the host's)
and speaks more attributes with each release.

The approach: one function per message, fixed layouts for the parts sent ten thousand times, and
readers that take the attributes they know and keep the others. What the kernel dumps has the same
form as what it is told, so every writer has its reader. Numbers and policies are those of
``linux/ip_vs.h`` and ``ip_vs_genl_parse_service/dest`` in ``net/netfilter/ipvs/ip_vs_ctl.c``.

Never: an attribute left to the kernel's default; a property of another program's entry guessed.
"""

import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from hadirector.ipvs.attributes import Command, Dest, Svc, Top
from hadirector.ipvs.model import (
    IPIP,
    Address,
    Counters,
    Destination,
    DestinationKey,
    FirewallMark,
    Forward,
    Persistence,
    Protocol,
    Service,
    ServiceFlag,
    ServiceKey,
    Traffic,
    Tunnel,
    TunnelType,
    Unknown,
    VirtualAddress,
    whole_netmask,
)
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)
from hadirector.ipvs.wire import NLA_F_NESTED, Request, WireError, pack_attribute, unpack_attributes

FAMILY_NAME = "IPVS"

_IDLE = Counters()  # one for all: in a large table most servers have no connection
_FLAG_PERSISTENT = 0x01
_FLAG_HASHED = 0x02  # the kernel's own book-keeping: reported, and harmful when sent
_FLAG_MASK = 0xFFFFFFFF & ~_FLAG_HASHED


@dataclass(frozen=True, slots=True)
class Info:
    """What the kernel says of its IPVS: version, and the size of the connection hash table."""

    version: tuple[int, int, int]
    connection_table_size: int


class InexpressibleError(ValueError):
    """An entry of the kernel that our values have no words for; the text names it."""


def encode(step: Step) -> Request:
    """The request that does a step."""
    match step:
        case AddService(service):
            return Request(Command.NEW_SERVICE, _service(service))
        case SetService(service):
            return Request(Command.SET_SERVICE, _service(service))
        case DeleteService():
            return Request(Command.DEL_SERVICE, _service_by_key(step.key))
        case AddDestination(key, destination):
            payload = _service_by_key(key) + _destination(destination)
            return Request(Command.NEW_DEST, payload)
        case SetDestination(key, destination):
            payload = _service_by_key(key) + _destination(destination)
            return Request(Command.SET_DEST, payload)
        case DeleteDestination(key, before):
            payload = _service_by_key(key) + _destination(before)
            return Request(Command.DEL_DEST, payload)


def get_services() -> Request:
    """Every service, with counters. A dump."""
    return Request(Command.GET_SERVICE)


def get_service(key: ServiceKey) -> Request:
    """One service, with counters. One answer; ESRCH where there is none."""
    return Request(Command.GET_SERVICE, _service_by_key(key))


def get_destinations(key: ServiceKey) -> Request:
    """The real servers of one service, with counters. A dump; empty where there is no service."""
    return Request(Command.GET_DEST, _service_by_key(key))


def get_info() -> Request:
    """The version and table size of this kernel's IPVS."""
    return Request(Command.GET_INFO)


def encode_key(key: ServiceKey) -> bytes:
    """What names a service, as the attributes of a message."""
    return _service_by_key(key)


def encode_service(service: Service) -> bytes:
    """A service as the attributes of a message: what the kernel dumps, without counters."""
    return _service(service)


def encode_destination(destination: Destination) -> bytes:
    """A real server as the attributes of a message: what the kernel dumps, without counters."""
    return _destination(destination)


def decode_service(payload: bytes, *, traffic: bool = True) -> tuple[Service, Traffic | None]:
    """One service of a dump. Raises ``WireError``, and ``InexpressibleError`` naming the entry."""
    attributes = unpack_attributes(_required(unpack_attributes(payload), Top.SERVICE))
    key = _decode_key(attributes)
    bits, _ = _FLAGS_VALUE.unpack(_required(attributes, Svc.FLAGS)[: _FLAGS_VALUE.size])
    persistence = None
    if bits & _FLAG_PERSISTENT:
        netmask = _required(attributes, Svc.NETMASK)
        mask = int.from_bytes(netmask, "big" if key.version == 4 else sys.byteorder)
        persistence = Persistence(
            _number(attributes, Svc.TIMEOUT),
            None if mask == whole_netmask(key.version) else mask,
            _text(attributes.get(Svc.PE_NAME, b"")),
        )
    service = Service(
        key,
        _text(_required(attributes, Svc.SCHED_NAME)),
        persistence,
        ServiceFlag(bits & ~(_FLAG_PERSISTENT | _FLAG_HASHED)),
        _unknown(attributes, Svc),
    )
    return service, _decode_traffic(attributes, Svc.STATS64, Svc.STATS) if traffic else None


def decode_destination(
    payload: bytes, *, version: int, traffic: bool = True
) -> tuple[Destination, Counters]:
    """One real server of a dump, of a service of this IP version.

    Raises ``WireError``, and ``InexpressibleError`` naming the entry.
    """
    if not traffic and (usual := _decode_usual(payload)) is not None:
        return usual
    attributes = unpack_attributes(_required(unpack_attributes(payload), Top.DEST))
    # Kernels before 3.18 have no family of its own for a server: it is the service's.
    family = _number(attributes, Dest.ADDR_FAMILY, default=_FAMILIES[version])
    key = DestinationKey(
        _decode_address(family, _required(attributes, Dest.ADDR)),
        int.from_bytes(_required(attributes, Dest.PORT), "big"),
    )
    method = _number(attributes, Dest.FWD_METHOD)
    if method not in _FORWARDS:
        raise InexpressibleError(f"server {key} has forwarding method {method}")
    forward = Forward(method)
    destination = Destination(
        key,
        forward,
        int.from_bytes(_required(attributes, Dest.WEIGHT), sys.byteorder, signed=True),
        _number(attributes, Dest.U_THRESH),
        _number(attributes, Dest.L_THRESH),
        _decode_tunnel(key, attributes) if forward is Forward.TUN else IPIP,
        _unknown(attributes, Dest),
    )
    return destination, _decode_counters(attributes, traffic=traffic)


def decode_info(payload: bytes) -> Info:
    """The answer to ``get_info``. Raises ``WireError``."""
    attributes = unpack_attributes(payload)
    version = _number(attributes, 1)
    return Info((version >> 16, version >> 8 & 0xFF, version & 0xFF), _number(attributes, 2))


# --- writing ------------------------------------------------------------------------------------

_AF_INET, _AF_INET6 = 2, 10  # linux/socket.h; the codec needs no sockets
_FAMILIES = {4: _AF_INET, 6: _AF_INET6}

# Each attribute: length and type (host order), value, padding to 4 bytes. Addresses are always
# sent as the kernel's 16-byte union.
_VIRTUAL_ADDRESS = struct.Struct("=HHHxx HHHxx HH16s HH2sxx")
_FIREWALL_MARK = struct.Struct("=HHHxx HHI")
_FLAGS_VALUE = struct.Struct("=II")
_SERVICE_REST = struct.Struct("=HHII HHI HH4s")
_DESTINATION = struct.Struct("=HH16s HH2sxx HHI HHi HHI HHI HHHxx")
_TUNNEL = struct.Struct("=HHBxxx HH2sxx HHHxx")


def _service_by_key(key: ServiceKey) -> bytes:
    return pack_attribute(Top.SERVICE | NLA_F_NESTED, _key(key))


@lru_cache(maxsize=64)  # the servers of one service are sent in a row
def _key(key: ServiceKey) -> bytes:
    family = _FAMILIES[key.version]
    if isinstance(key, FirewallMark):
        return _FIREWALL_MARK.pack(6, Svc.AF, family, 8, Svc.FWMARK, key.mark)
    return _VIRTUAL_ADDRESS.pack(
        *(6, Svc.AF, family),
        *(6, Svc.PROTOCOL, key.protocol),
        *(20, Svc.ADDR, key.address.packed),
        *(6, Svc.PORT, key.port.to_bytes(2, "big")),
    )


def _service(service: Service) -> bytes:
    kept = service.persistence or Persistence(0)
    version = service.key.version
    netmask = whole_netmask(version) if kept.netmask is None else kept.netmask
    flags = int(service.flags) | (_FLAG_PERSISTENT if service.persistence else 0)
    rest = _SERVICE_REST.pack(
        *(12, Svc.FLAGS, flags, _FLAG_MASK),
        *(8, Svc.TIMEOUT, kept.timeout_s),
        *(8, Svc.NETMASK, netmask.to_bytes(4, "big" if version == 4 else sys.byteorder)),
    )
    name = pack_attribute(Svc.SCHED_NAME, service.scheduler.encode() + b"\0")
    engine = pack_attribute(Svc.PE_NAME, kept.engine.encode() + b"\0") if kept.engine else b""
    return pack_attribute(Top.SERVICE | NLA_F_NESTED, _key(service.key) + name + rest + engine)


def _destination(destination: Destination) -> bytes:
    key = destination.key
    body = _DESTINATION.pack(
        *(20, Dest.ADDR, key.address.packed),
        *(6, Dest.PORT, key.port.to_bytes(2, "big")),
        *(8, Dest.FWD_METHOD, destination.forward),
        *(8, Dest.WEIGHT, destination.weight),
        *(8, Dest.U_THRESH, destination.upper),
        *(8, Dest.L_THRESH, destination.lower),
        *(6, Dest.ADDR_FAMILY, _FAMILIES[key.address.version]),
    )
    if destination.forward is Forward.TUN:
        tunnel = destination.tunnel
        body += _TUNNEL.pack(
            *(5, Dest.TUN_TYPE, tunnel.type),
            *(6, Dest.TUN_PORT, tunnel.port.to_bytes(2, "big")),
            *(6, Dest.TUN_FLAGS, tunnel.flags),
        )
    return pack_attribute(Top.DEST | NLA_F_NESTED, body)


# --- reading ------------------------------------------------------------------------------------

_PROTOCOLS = frozenset(int(protocol) for protocol in Protocol)
_FORWARDS = frozenset(int(forward) for forward in Forward)
_UNTUNNELED = {int(forward): forward for forward in Forward if forward is not Forward.TUN}
_ADDRESSES: dict[int, tuple[int, type[IPv4Address] | type[IPv6Address]]] = {
    _AF_INET: (4, IPv4Address),
    _AF_INET6: (16, IPv6Address),
}
_TUNNELS = frozenset(int(tunnel) for tunnel in TunnelType)


def _decode_key(attributes: Mapping[int, bytes]) -> ServiceKey:
    family = _number(attributes, Svc.AF)
    if Svc.FWMARK in attributes:
        version = 4 if family == _AF_INET else 6
        return FirewallMark(_number(attributes, Svc.FWMARK), version)
    protocol = _number(attributes, Svc.PROTOCOL)
    address = _decode_address(family, _required(attributes, Svc.ADDR))
    port = int.from_bytes(_required(attributes, Svc.PORT), "big")
    if protocol not in _PROTOCOLS:
        raise InexpressibleError(f"service {address} port {port} has IP protocol {protocol}")
    return VirtualAddress(Protocol(protocol), address, port)


def _decode_address(family: int, union: bytes) -> Address:
    size, kind = _ADDRESSES[_AF_INET if family == _AF_INET else _AF_INET6]
    if len(union) < size:
        raise WireError(f"an address of {len(union)} bytes")
    return kind(union[:size])


# A server as Linux 5.3 and later dump it (ip_vs_genl_fill_dest): header and value of each attribute
# in this order, then the statistics.
_USUAL = struct.Struct("=4s 4s16s 4s2sxx 4sI 4si 4sBxxx 4s2sxx 4sHxx 4sI 4sI 4sI 4sI 4sI 4sHxx")
_HEADER = struct.Struct("=HH")
_USUAL_HEADERS = tuple(
    _HEADER.pack(size, kind)
    for size, kind in (
        *((20, Dest.ADDR), (6, Dest.PORT), (8, Dest.FWD_METHOD), (8, Dest.WEIGHT)),
        *((5, Dest.TUN_TYPE), (6, Dest.TUN_PORT), (6, Dest.TUN_FLAGS)),
        *((8, Dest.U_THRESH), (8, Dest.L_THRESH)),
        *((8, Dest.ACTIVE_CONNS), (8, Dest.INACT_CONNS), (8, Dest.PERSIST_CONNS)),
        (6, Dest.ADDR_FAMILY),
    )
)
_STATISTICS = frozenset({Dest.STATS, Dest.STATS64})


def _decode_usual(payload: bytes) -> tuple[Destination, Counters] | None:
    """A server in the usual form at half the cost; None: it is for the general way to say.

    That is so wherever a header, a value or what follows is not just as expected.
    """
    if len(payload) < _USUAL.size:
        return None
    fields = _USUAL.unpack_from(payload)
    if fields[1::2] != _USUAL_HEADERS or fields[0] != _HEADER.pack(len(payload), Top.DEST):
        return None
    address, port, method, weight, _, _, _, upper, lower, *counts, family = fields[2::2]
    if method not in _UNTUNNELED or family not in _ADDRESSES:
        return None
    if not unpack_attributes(payload[_USUAL.size :]).keys() <= _STATISTICS:
        return None
    size, kind = _ADDRESSES[family]
    key = DestinationKey(kind(address[:size]), int.from_bytes(port, "big"))
    destination = Destination(key, _UNTUNNELED[method], weight, upper, lower)
    if not any(counts):
        return destination, _IDLE
    active, inactive, persistent = counts
    return destination, Counters(active=active, inactive=inactive, persistent=persistent)


def _decode_tunnel(key: DestinationKey, attributes: Mapping[int, bytes]) -> Tunnel:
    kind = _number(attributes, Dest.TUN_TYPE, default=0)
    if kind not in _TUNNELS:
        raise InexpressibleError(f"server {key} has tunnel type {kind}")
    port = int.from_bytes(attributes.get(Dest.TUN_PORT, b""), "big")
    return Tunnel(TunnelType(kind), port, _number(attributes, Dest.TUN_FLAGS, default=0))


def _decode_counters(attributes: Mapping[int, bytes], *, traffic: bool) -> Counters:
    active, inactive, persistent = (
        _number(attributes, kind, default=0)
        for kind in (Dest.ACTIVE_CONNS, Dest.INACT_CONNS, Dest.PERSIST_CONNS)
    )
    if not (traffic or active or inactive or persistent):
        return _IDLE
    return Counters(
        active=active,
        inactive=inactive,
        persistent=persistent,
        traffic=_decode_traffic(attributes, Dest.STATS64, Dest.STATS) if traffic else None,
    )


def _decode_traffic(attributes: Mapping[int, bytes], wide: int, narrow: int) -> Traffic:
    """The 64-bit counters, of kernels before 4.1 the 32-bit ones. Same attributes in both."""
    stats = unpack_attributes(attributes.get(wide) or attributes.get(narrow, b""))
    numbers = [int.from_bytes(stats.get(kind, b""), sys.byteorder) for kind in range(11)]
    return Traffic(
        connections=numbers[1],
        packets_in=numbers[2],
        packets_out=numbers[3],
        bytes_in=numbers[4],
        bytes_out=numbers[5],
        connection_rate=numbers[6],
        packet_rate_in=numbers[7],
        packet_rate_out=numbers[8],
        byte_rate_in=numbers[9],
        byte_rate_out=numbers[10],
    )


def _required(attributes: Mapping[int, bytes], kind: int) -> bytes:
    try:
        return attributes[kind]
    except KeyError:
        raise WireError(f"attribute {kind!r} is missing") from None


def _number(attributes: Mapping[int, bytes], kind: int, default: int | None = None) -> int:
    """An unsigned number in host order, as wide as the kernel sent it."""
    if default is not None and kind not in attributes:
        return default
    return int.from_bytes(_required(attributes, kind), sys.byteorder)


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode(errors="replace")


def _unknown(attributes: Mapping[int, bytes], known: type[IntEnum]) -> Unknown:
    names = known._value2member_map_
    if attributes.keys() <= names.keys():
        return ()
    return tuple((kind, value) for kind, value in attributes.items() if kind not in names)
