"""The hardware address of a virtual router, and the interface that has it.

RFC 9568 section 7.3: 00-00-5E-00-01-{VRID} for IPv4, 00-00-5E-00-02-{VRID} for IPv6. It moves with
the addresses, so that no neighbour has to learn anything; what learns is the switch, from the first
frame that the new active router sends.

On Linux such an address needs an interface of its own, a macvlan above the real one. It carries a
mark in its alias: that it is ours, and what was changed on the interface below, so that whoever
finds it after a crash can put that back. Nothing has to be written to a file.

This module is pure; `devices` makes the interface, `will` removes it after a death.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BELOW: Final = MappingProxyType({"arp_ignore": 1, "arp_announce": 2})
"""What the real interface needs, at least (Documentation/networking/ip-sysctl.rst): to answer ARP
only for addresses of its own, and to name only such as sender."""
_PREFIX: Final = MappingProxyType({4: bytes.fromhex("00005e0001"), 6: bytes.fromhex("00005e0002")})
_MARK: Final = "virtual MAC of VRRP"
_SWITCH: Final = re.compile(r"\b(\w+)=(\d+)")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def hardware_address_of(vrid: int, family: int) -> bytes:
    """Return the six bytes for a VRID and a version of IP."""
    return _PREFIX[family] + bytes((vrid,))


def vrid_of(hardware_address: str, family: int) -> int | None:
    """Return whose virtual MAC this is (`00:00:5e:00:01:33`); None: it is no virtual one."""
    octets = bytes.fromhex(hardware_address.replace(":", ""))
    return octets[5] if octets[:5] == _PREFIX[family] else None


def default_name(vrid: int, family: int) -> str:
    """Return what the interface is called unless the operator says otherwise."""
    return f"vrrp{family}-{vrid}"


def check_name(name: str) -> None:
    """Refuse what no interface should be called. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'virtual_mac_name: "{name}"; use letters, digits, dots and dashes')


def mark(below: str, before: Mapping[str, int]) -> str:
    """Return the alias of an interface of ours; `before`: the switches of the one below it."""
    switches = " ".join(f"{key}={value}" for key, value in sorted(before.items()))
    return f"{_MARK}; {below} had {switches}"


def is_marked(alias: str) -> bool:
    """Tell whether an interface with this alias is ours."""
    return alias.startswith(_MARK)


def switches_before(alias: str) -> dict[str, int]:
    """Return what `mark` was told."""
    return {key: int(value) for key, value in _SWITCH.findall(alias)}
