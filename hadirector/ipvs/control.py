"""What IPVS has besides its table: time-outs of connections, and daemons that synchronise them.

The problem: these are one set per network namespace, in attributes of their own, with their own
traps: a time-out of 0 means "as it is", the daemon's port is in host order while the table's are
not, and a running daemon is never changed, only stopped and started. The approach: frozen values
and their codec (``linux/ip_vs.h``, ``ip_vs_genl_*_daemon`` and ``_config`` in
``net/netfilter/ipvs/ip_vs_ctl.c``), like ``model`` and ``messages`` for the table.

Never: I/O, or a decision about which daemon should run where.
"""

import sys
from dataclasses import dataclass, fields
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from hadirector.ipvs.messages import encode_key
from hadirector.ipvs.model import Address, ServiceKey
from hadirector.ipvs.wire import NLA_F_NESTED, Request, WireError, pack_attribute, unpack_attributes

TIMEOUT_S_MAX = 0x7FFFFFFF // 1000  # in jiffies it must fit an int, at any HZ
SYNC_GROUP = IPv4Address("224.0.0.81")
SYNC_PORT = 8848

_NAME_MAX = 15  # IP_VS_IFNAME_MAXLEN - 1


class _Command(IntEnum):
    NEW_DAEMON = 9
    DEL_DAEMON = 10
    GET_DAEMON = 11
    SET_CONFIG = 12
    GET_CONFIG = 13
    ZERO = 16
    FLUSH = 17


class _Top(IntEnum):
    DAEMON = 3
    TIMEOUT_TCP = 4
    TIMEOUT_TCP_FIN = 5
    TIMEOUT_UDP = 6


class _Daemon(IntEnum):
    STATE = 1
    MCAST_IFN = 2
    SYNC_ID = 3
    SYNC_MAXLEN = 4
    MCAST_GROUP = 5
    MCAST_GROUP6 = 6
    MCAST_PORT = 7
    MCAST_TTL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds without a packet after which the kernel forgets a connection."""

    tcp_s: int = 0
    tcp_fin_s: int = 0
    udp_s: int = 0

    def __post_init__(self) -> None:
        for item in fields(self):
            if not 0 <= getattr(self, item.name) <= TIMEOUT_S_MAX:
                raise ValueError(f"a time-out is 0..{TIMEOUT_S_MAX} s")

    def __str__(self) -> str:
        return f"tcp {self.tcp_s} s, tcp after FIN {self.tcp_fin_s} s, udp {self.udp_s} s"


class SyncRole(IntEnum):
    """What a sync daemon does: the active director's sends, the backup's receives."""

    ACTIVE = 1
    BACKUP = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDaemon:
    """One connection-sync daemon of the kernel.

    ``sync_id`` 0 as backup: takes the messages of every sender. ``maxlen`` is the size of a
    datagram in bytes, 0: as the interface's MTU allows. ``ttl`` is the active one's.
    """

    role: SyncRole
    interface: str
    sync_id: int = 0
    maxlen: int = 0
    group: Address = SYNC_GROUP
    port: int = SYNC_PORT
    ttl: int = 1

    def __post_init__(self) -> None:
        if not 1 <= len(self.interface.encode()) <= _NAME_MAX or "\0" in self.interface:
            raise ValueError(f"interface {self.interface!r} is no name of 1..{_NAME_MAX} bytes")
        if not self.group.is_multicast:
            raise ValueError(f"{self.group} is no multicast address")
        for what, value, least, most in (
            ("sync id", self.sync_id, 0, 255),
            ("maxlen", self.maxlen, 0, 65535),
            ("port", self.port, 1, 65535),
            ("ttl", self.ttl, 1, 255),
        ):
            if not least <= value <= most:
                raise ValueError(f"{what} {value} is outside {least}..{most}")

    def __str__(self) -> str:
        maxlen = f", maxlen {self.maxlen}" if self.maxlen else ""
        return (
            f"{self.role} sync daemon on {self.interface}, id {self.sync_id}, "
            f"group {self.group} port {self.port}, ttl {self.ttl}{maxlen}"
        )


Daemons: TypeAlias = dict[SyncRole, SyncDaemon]


def get_timeouts() -> Request:
    """All three time-outs. One answer."""
    return Request(_Command.GET_CONFIG)


def set_timeouts(timeouts: Timeouts) -> Request:
    """Change the time-outs; one of 0 stays as it is."""
    kinds = (_Top.TIMEOUT_TCP, _Top.TIMEOUT_TCP_FIN, _Top.TIMEOUT_UDP)
    values = (timeouts.tcp_s, timeouts.tcp_fin_s, timeouts.udp_s)
    payload = b"".join(pack_attribute(k, _u32(v)) for k, v in zip(kinds, values, strict=True))
    return Request(_Command.SET_CONFIG, payload)


def decode_timeouts(payload: bytes) -> Timeouts:
    """The answer to ``get_timeouts``. Raises ``WireError``."""
    found = unpack_attributes(payload)
    return Timeouts(
        tcp_s=_number(found, _Top.TIMEOUT_TCP),
        tcp_fin_s=_number(found, _Top.TIMEOUT_TCP_FIN),
        udp_s=_number(found, _Top.TIMEOUT_UDP),
    )


def get_daemons() -> Request:
    """The daemons that run. A dump."""
    return Request(_Command.GET_DAEMON)


def start_daemon(daemon: SyncDaemon) -> Request:
    """Start a daemon; EEXIST while one of its role runs."""
    is_v4 = isinstance(daemon.group, IPv4Address)
    payload = b"".join(
        (
            pack_attribute(_Daemon.STATE, _u32(daemon.role)),
            pack_attribute(_Daemon.MCAST_IFN, daemon.interface.encode() + b"\0"),
            pack_attribute(_Daemon.SYNC_ID, _u32(daemon.sync_id)),
            pack_attribute(_Daemon.SYNC_MAXLEN, _u16(daemon.maxlen)) if daemon.maxlen else b"",
            pack_attribute(
                _Daemon.MCAST_GROUP if is_v4 else _Daemon.MCAST_GROUP6, daemon.group.packed
            ),
            pack_attribute(_Daemon.MCAST_PORT, _u16(daemon.port)),  # in host order, unlike others
            pack_attribute(_Daemon.MCAST_TTL, bytes([daemon.ttl])),
        )
    )
    return Request(_Command.NEW_DAEMON, pack_attribute(_Top.DAEMON | NLA_F_NESTED, payload))


def stop_daemon(role: SyncRole) -> Request:
    """Stop the daemon of a role; ESRCH where none runs."""
    state = pack_attribute(_Daemon.STATE, _u32(role))
    return Request(_Command.DEL_DAEMON, pack_attribute(_Top.DAEMON | NLA_F_NESTED, state))


def decode_daemon(payload: bytes) -> SyncDaemon:
    """One daemon of a dump. Raises ``WireError``."""
    nested = unpack_attributes(payload).get(_Top.DAEMON)
    if nested is None:
        raise WireError("a daemon without its attributes")
    found = unpack_attributes(nested)
    group = found.get(_Daemon.MCAST_GROUP6) or found.get(_Daemon.MCAST_GROUP)
    try:
        return SyncDaemon(
            role=SyncRole(_number(found, _Daemon.STATE)),
            interface=found.get(_Daemon.MCAST_IFN, b"").split(b"\0")[0].decode(errors="replace"),
            sync_id=_number(found, _Daemon.SYNC_ID),
            maxlen=_number(found, _Daemon.SYNC_MAXLEN, default=0),
            group=_address(group) if group else SYNC_GROUP,
            port=_number(found, _Daemon.MCAST_PORT, default=SYNC_PORT),
            ttl=_number(found, _Daemon.MCAST_TTL, default=1),
        )
    except ValueError as error:
        raise WireError(f"a daemon that cannot be: {error}") from error


def zero(key: ServiceKey | None) -> Request:
    """Set the counters of one service to 0, or those of all."""
    return Request(_Command.ZERO, b"" if key is None else encode_key(key))


def flush() -> Request:
    """Remove every service with its servers."""
    return Request(_Command.FLUSH)


def _address(packed: bytes) -> IPv4Address | IPv6Address:
    return ip_address(packed)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def _u16(value: int) -> bytes:
    return value.to_bytes(2, sys.byteorder)


def _number(found: dict[int, bytes], kind: IntEnum, default: int | None = None) -> int:
    if kind not in found:
        if default is None:
            raise WireError(f"attribute {kind!r} is missing")
        return default
    return int.from_bytes(found[kind], sys.byteorder)
