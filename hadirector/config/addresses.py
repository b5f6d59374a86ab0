"""Addresses as people write them: `198.51.100.21:8080`, `tcp://[2001:db8::1]:80`, `fwmark6:7`.

The problem: an address and a port are one thought, and IPv6 needs brackets to keep them apart.
The approach: two small parsers that accept exactly one spelling each and say what is wrong
otherwise. Never resolve a name: what a director balances must not depend on a resolver.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import AF_INET, inet_pton

from hadirector.config.diagnostics import Rule, UnfitError
from hadirector.ipvs.model import (
    Address,
    DestinationKey,
    FirewallMark,
    Protocol,
    ServiceKey,
    VirtualAddress,
)

PORT_MAX = 65535
FWMARK_MAX = 2**32 - 1

ENDPOINT_PATTERN = r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"
LISTEN_PATTERN = (
    r"^((tcp|udp|sctp)://([0-9.]+(-[0-9.]+)?|\[[0-9A-Fa-f:.]+\](-\[[0-9A-Fa-f:.]+\])?)"
    r":[0-9]{1,5}(-[0-9]{1,5})?|fwmark6?:[0-9]{1,10})$"
)
LISTENS_MAX = 4096
"""Kernel services that one service of the file may become: each costs a write and memory."""

_MARKS = {4: "fwmark:", 6: "fwmark6:"}
"""The kernel keeps marks of IPv4 and of IPv6 packets apart."""
_PROTOCOLS = {str(protocol): protocol for protocol in Protocol}
_RANGES = re.compile(
    r"(?P<first>[0-9.]+|\[[0-9A-Fa-f:.]+\])(-(?P<last>[0-9.]+|\[[0-9A-Fa-f:.]+\]))?"
    r":(?P<port>[0-9]+)(-(?P<last_port>[0-9]+))?",
    re.ASCII,
)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)


class AddressError(UnfitError):
    """Text that is not the address wanted here."""

    rule = Rule.BAD_ADDRESS


def join(address: Address, port: int) -> str:
    """`address:port`, with brackets around an IPv6 address."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def format_listen(key: ServiceKey) -> str:
    """What a service listens on, as written in the file."""
    if isinstance(key, FirewallMark):
        return f"{_MARKS[key.version]}{key.mark}"
    return f"{key.protocol}://{join(key.address, key.port)}"


def parse_endpoint(text: str) -> DestinationKey:
    """Read `address:port`; raises AddressError."""
    example = "write 198.51.100.21:8080 or [2001:db8::1]:80"
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]:")
        if not bracket:
            raise AddressError(f'"{text}" has no port after the bracket', example)
        address = parse_address(host)
        if address.version == 4:
            raise AddressError(f'"{text}" has brackets around an IPv4 address', f"write {host}:…")
        return DestinationKey(address, _port(port))
    if text.count(":") > 1:
        raise AddressError(f'"{text}" needs brackets around the IPv6 address', example)
    host, colon, port = text.partition(":")
    if not colon:
        parse_address(host)
        raise AddressError(f'"{text}" has no port', f"write {host}:80")
    return DestinationKey(parse_address(host), _port(port))


def format_listens(keys: Sequence[ServiceKey]) -> str:
    """What a service listens on, in short: `tcp://192.0.2.100:80 and 10 more`."""
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return format_listen(keys[0]) + more


def parse_listens(text: str) -> tuple[ServiceKey, ...]:
    """Read what one line listens on, with ranges: `tcp://192.0.2.100-110:80`, `…:8000-8010`.

    Every address with every port; raises AddressError.
    """
    scheme, separator, rest = text.partition("://")
    match = _RANGES.fullmatch(rest) if separator and "-" in rest else None
    if match is None:
        return (parse_listen(text),)
    first, last, port, last_port = match.group("first", "last", "port", "last_port")
    low = parse_listen(f"{scheme}://{first}:{port}")
    assert isinstance(low, VirtualAddress)
    address = low.address if last is None else _last_address(first, last)
    most = low.port if last_port is None else _port(last_port)
    for begin, end in ((low.address, address), (low.port, most)):
        if int(end) < int(begin):
            raise AddressError(f"the range {begin} to {end} is empty", "write the lower one first")
    if low.port == 0 and last_port is not None:
        raise AddressError("port 0 is every port, and begins no range", "write 1, or 0 alone")
    addresses, ports = int(address) - int(low.address) + 1, most - low.port + 1
    check_listens(addresses * ports)
    return tuple(
        VirtualAddress(low.protocol, low.address + offset, number)
        for offset in range(addresses)
        for number in range(low.port, most + 1)
    )


def check_listens(count: int) -> None:
    """Raise AddressError where one service would become too many of the kernel's."""
    if count > LISTENS_MAX:
        raise AddressError(
            f"these are {count} services to the kernel, and at most {LISTENS_MAX} are made of one",
            "write fwmark:1, and have the firewall mark these packets",
        )


def _last_address(first: str, last: str) -> Address:
    """The end of a range: whole, or for IPv4 the last of the four numbers."""
    if last.isdecimal():
        last = f"{first.rpartition('.')[0]}.{last}"
    if last.startswith("[") != first.startswith("["):
        raise AddressError(f"{first} to {last} is no range", "begin and end in one IP version")
    return parse_address(last.strip("[]"))


def parse_listen(text: str) -> ServiceKey:
    """Read `tcp://address:port`, `fwmark:NUMBER` or `fwmark6:NUMBER`; raises AddressError."""
    scheme, separator, rest = text.partition("://")
    if separator:
        protocol = _PROTOCOLS.get(scheme)
        if protocol is None:
            raise AddressError(f'unknown protocol "{scheme}"', "write tcp://, udp:// or sctp://")
        endpoint = parse_endpoint(rest)
        return VirtualAddress(protocol, endpoint.address, endpoint.port)
    for version, prefix in _MARKS.items():
        if text.startswith(prefix):
            return FirewallMark(_mark(text.removeprefix(prefix)), version)
    try:
        parse_endpoint(text)
    except AddressError:
        example = "write tcp://192.0.2.100:80, udp://…, sctp://… or fwmark:7"
        raise AddressError(f'"{text}" is nothing to listen on', example) from None
    raise AddressError(f'"{text}" has no protocol', f"write tcp://{text} or udp://{text}")


def parse_address(text: str) -> Address:
    """Read an address alone; raises AddressError."""
    try:
        # The C library is as strict about IPv4, and a large file has nothing but addresses.
        return IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        pass  # another kind of address, or none: told below
    try:
        address = ip_address(text)
    except ValueError:
        raise AddressError(f'"{text}" is not an IP address', "names are not resolved") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise AddressError(f'"{text}" has a zone', "link-local addresses cannot be balanced")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        mapped = address.ipv4_mapped
        raise AddressError(f'"{text}" is an IPv4 address in IPv6 clothes', f"write {mapped}")
    return address


def _port(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise AddressError(f'"{text}" is not a port', f"a port is 0 to {PORT_MAX}")
    if int(text) > PORT_MAX:
        raise AddressError(f"port {text} is out of range", f"a port is 0 to {PORT_MAX}")
    if text != str(int(text)):
        raise AddressError(f'port "{text}" has leading zeros', f"write {int(text)}")
    return int(text)


def _mark(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= FWMARK_MAX:
        raise AddressError(f'"{text}" is not a firewall mark', f"a mark is 1 to {FWMARK_MAX}")
    return int(text)
