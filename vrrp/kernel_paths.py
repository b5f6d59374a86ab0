"""Adding and removing routes and rules through rtnetlink, without a library.

They carry a protocol number of our own, and the kernel removes only what matches in every respect:
so what the host has for itself is never taken away, though it may lead to the same network. The
will of a dead worker removes them, too, hence no library (see `netlink`). References:
linux/rtnetlink.h, linux/fib_rules.h, net/ipv4/fib_trie.c.

This module never decides whether a route should be there.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_network
from typing import Final

from vrrp import netlink
from vrrp.netlink import attribute
from vrrp.paths import Path, PolicyRule, Route

PROTOCOL: Final = 112
"""Who made it; VRRP's own number, which no routing program uses."""

_RTMSG: Final = struct.Struct("=BBBBBBBBI")
# family, destination and source length, tos, table, protocol, scope, type, flags
_NEWROUTE, _DELROUTE, _NEWRULE, _DELRULE = 24, 25, 32, 33
_SCOPE_LINK: Final = 253
_UNICAST: Final = 1
_TO_TABLE: Final = 1
_TABLE_UNSPEC: Final = 0  # the number is in an attribute, where it may be large
_GONE: Final = frozenset({errno.ESRCH, errno.ENOENT, *netlink.NOTHING_THERE})


def add(interface: str, path: Path) -> bool:
    """Add a route or rule; tell whether it was missing. Raises OSError."""
    try:
        netlink.ask(*_message(interface, path, new=True))
    except OSError as error:
        if error.errno == errno.EEXIST:
            return False
        raise
    return True


def remove(interface: str, path: Path) -> bool:
    """Remove a route or rule of ours; tell whether it was there. Raises OSError."""
    try:
        netlink.ask(*_message(interface, path, new=False))
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
    return True


def _message(interface: str, path: Path, *, new: bool) -> tuple[int, bytes, int]:
    flags = netlink.CREATE if new else 0
    if isinstance(path, Route):
        return _NEWROUTE if new else _DELROUTE, _route(interface, path), flags
    return _NEWRULE if new else _DELRULE, _rule(path), flags


def _route(interface: str, route: Route) -> bytes:
    network = route.network
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope = _SCOPE_LINK if network.version == 4 and route.via is None else 0
    header = _RTMSG.pack(
        family, network.prefixlen, 0, 0, _TABLE_UNSPEC, PROTOCOL, scope, _UNICAST, 0
    )
    body = attribute(1, network.network_address.packed) if network.prefixlen else b""
    body += _number(4, netlink.index_of(interface))
    if route.via is not None:
        body += attribute(5, route.via.packed)
    if route.metric:
        body += _number(6, route.metric)
    if route.source is not None:
        body += attribute(7, route.source.packed)
    return header + body + _number(15, route.table)


def _rule(rule: PolicyRule) -> bytes:
    family = socket.AF_INET if rule.version == 4 else socket.AF_INET6
    lengths, body = [0, 0], b""
    for index, (kind, text) in enumerate(((1, rule.to), (2, rule.source))):
        if text is not None:
            network = ip_network(text)
            lengths[index] = network.prefixlen
            body += attribute(kind, network.network_address.packed)
    header = _RTMSG.pack(family, *lengths, 0, _TABLE_UNSPEC, 0, 0, _TO_TABLE, 0)
    body += _number(6, rule.priority)
    if rule.fwmark is not None:
        body += _number(10, rule.fwmark)
    return header + body + _number(15, rule.table) + attribute(21, bytes((PROTOCOL,)))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))
