"""One look at a thing that a virtual router depends on: a file, a process, a route.

Each look answers at once from the file system or from /proc; a look that is impossible is a failed
one and says so. References: proc(5), the kernel's net/ipv4/fib_trie.c and net/ipv6/route.c for the
columns of /proc/net/route and /proc/net/ipv6_route.

This module never changes anything, and never waits.
"""

from __future__ import annotations

import os
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

from vrrp.priority import Reading
from vrrp.tracked import WEIGHT_MAX, Tracker

_NUMBER_BYTES_MAX: Final = 32
_COMM_BYTES_MAX: Final = 15
"""The kernel keeps no more of a program's name."""
_RTF_UP: Final = 0x1
_RTF_REJECT: Final = 0x200


def look(tracker: Tracker) -> Reading:
    """Look at the file, process or route of a tracker."""
    if tracker.file is not None:
        return _file(tracker.file)
    if tracker.process is not None:
        runs = _runs(tracker.process)
        return Reading(not runs, f"{tracker.process} {'runs' if runs else 'does not run'}")
    network = tracker.network
    assert network is not None
    there = has_route(network)
    return Reading(not there, f"{'a' if there else 'no'} route to {tracker.route}")


def _file(path: str) -> Reading:
    try:
        text = _beginning(path).decode("ascii", errors="replace").strip()
    except FileNotFoundError:
        return Reading(False, f"{path} is not there")
    except OSError as error:
        return Reading(False, f"{path} cannot be read: {error.strerror}")
    try:
        number = int(text)
    except ValueError:
        shown = "".join(c if c.isprintable() else "?" for c in text)
        return Reading(False, f'{path} holds "{shown}", which is no number')
    value = max(-WEIGHT_MAX, min(WEIGHT_MAX, number))
    return Reading(value != 0, f"{path} holds {value}", value)


def _beginning(path: str) -> bytes:
    """Read the beginning of a file; a pipe or a device keeps nobody waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return os.read(descriptor, _NUMBER_BYTES_MAX)
    finally:
        os.close(descriptor)


def _runs(name: str) -> bool:
    """Tell whether a program of this name runs, and is not a zombie."""
    wanted = name.encode()[:_COMM_BYTES_MAX]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_bytes()
        except OSError:
            continue  # it has just ended
        start, end = stat.find(b"("), stat.rfind(b")")
        if stat[start + 1 : end] == wanted and stat[end + 2 : end + 3] not in (b"Z", b"X"):
            return True
    return False


def has_route(network: IPv4Network | IPv6Network) -> bool:
    """Tell whether the main table has a usable route to exactly this network."""
    try:
        if isinstance(network, IPv4Network):
            return any(_is_ipv4(line, network) for line in _lines("/proc/net/route")[1:])
        return any(_is_ipv6(line, network) for line in _lines("/proc/net/ipv6_route"))
    except OSError:
        return False


def _lines(path: str) -> list[list[str]]:
    return [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()]


def _is_ipv4(columns: list[str], network: IPv4Network) -> bool:
    """Interface, destination, gateway, flags, ..., mask (eighth); addresses in host order."""
    flags = int(columns[3], 16)
    destination, mask = (_swapped(columns[column]) for column in (1, 7))
    wanted = (int(network.network_address), int(network.netmask))
    return (destination, mask) == wanted and bool(flags & _RTF_UP) and not flags & _RTF_REJECT


def _swapped(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), sys.byteorder)


def _is_ipv6(columns: list[str], network: IPv6Network) -> bool:
    """Destination, its length, source, its length, gateway, metric, uses, uses, flags, name."""
    flags = int(columns[8], 16)
    wanted = (int(network.network_address), network.prefixlen)
    found = (int(columns[0], 16), int(columns[1], 16))
    return found == wanted and bool(flags & _RTF_UP) and not flags & _RTF_REJECT
