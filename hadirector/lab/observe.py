"""Who held which address when: the kernel's own announcements, watched in several namespaces.

The problem: whether two directors ever held one address at once cannot be seen by polling. The
approach: one forked process has a rtnetlink socket in each namespace, subscribed to address changes
(RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR, linux/rtnetlink.h), and notes each with its time. Pure
functions make spans of holding out of that.

It must never miss a change without saying so: an overrun of the socket's buffer is a LabError.
"""

from __future__ import annotations

import ipaddress
import json
import select
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from hadirector.lab.dialogue import Dialogue
from hadirector.lab.errors import LabError
from hadirector.lab.forked import Forked, Ready
from hadirector.lab.namespaces import inside
from hadirector.lab.spares import Address

NETLINK_ROUTE: Final = 0
RTMGRP_IPV4_IFADDR: Final = 0x10
RTMGRP_IPV6_IFADDR: Final = 0x100
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
NLMSG_HEADER: Final = struct.Struct("=IHHII")
IFADDRMSG: Final = struct.Struct("=BBBBI")
ATTRIBUTE: Final = struct.Struct("=HH")
BUFFER_BYTES: Final = 1 << 20

_Noted = tuple[float, str, int, str, bool]
"""At, machine, interface, address, added: an AddressChange on its way through JSON."""


@dataclass(frozen=True, slots=True)
class AddressChange:
    """One address was added to, or removed from, an interface of a machine."""

    at: float
    machine: str
    interface: int
    address: Address
    added: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which a machine held an address; `until` is None while it still does."""

    machine: str
    since: float
    until: float | None


def decode_changes(data: bytes) -> Iterator[tuple[int, Address, bool]]:
    """(interface index, address, added) of each address message in a datagram from rtnetlink."""
    offset = 0
    while offset + NLMSG_HEADER.size <= len(data):
        length, kind, _, _, _ = NLMSG_HEADER.unpack_from(data, offset)
        if length < NLMSG_HEADER.size or offset + length > len(data):
            raise LabError(f"rtnetlink message of {length} bytes in {len(data) - offset} bytes")
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            body = data[offset + NLMSG_HEADER.size : offset + length]
            _, _, _, _, index = IFADDRMSG.unpack_from(body)
            attributes = dict(_attributes(body[IFADDRMSG.size :]))
            # On a point-to-point interface IFA_ADDRESS is the peer's.
            raw = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
            if raw is not None:
                yield index, ipaddress.ip_address(raw), kind == RTM_NEWADDR
        offset += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind, data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def spans(changes: Iterable[AddressChange]) -> dict[Address, list[Span]]:
    """For each address, the spans of holding it, by machine and in order of their beginning."""
    held: dict[tuple[Address, str], float] = {}
    found: dict[Address, list[Span]] = defaultdict(list)
    for change in sorted(changes, key=lambda each: each.at):
        key = (change.address, change.machine)
        if change.added:
            held.setdefault(key, change.at)  # a refreshed address is announced again
        elif key in held:
            found[change.address].append(Span(change.machine, held.pop(key), change.at))
    for (address, machine), since in held.items():
        found[address].append(Span(machine, since, None))
    return {address: sorted(each, key=lambda span: span.since) for address, each in found.items()}


def overlap_ms(
    held: Sequence[Span], *, since: float, until: float, ignore: Mapping[str, float] | None = None
) -> float:
    """Longest time, in ms, during which two or more machines held the address at once.

    `ignore`: machines that are dead from a time on (without power nobody answers for an address).
    """
    dead = ignore or {}
    edges: list[tuple[float, int]] = []
    for span in held:
        begin = max(span.since, since)
        end = min(until if span.until is None else span.until, until, dead.get(span.machine, until))
        if end > begin:
            edges += [(begin, 1), (end, -1)]
    longest, holders, began = 0.0, 0, 0.0
    for at, step in sorted(edges):
        if holders >= 2 and step < 0:
            longest = max(longest, at - began)
        elif holders == 1 and step > 0:
            began = at
        holders += step
    return longest * 1000


class Observer:
    """The watching process. `namespaces`: machine name to namespace.

    It lives in the namespace `home`, by default the first of them; one whose machine may lose its
    power, and with it all its processes, is no place to watch from.
    """

    def __init__(self, namespaces: Mapping[str, str], *, home: str | None = None) -> None:
        if not namespaces:
            raise ValueError("nothing to observe")
        self._dialogue = Dialogue("the observer")
        theirs = self._dialogue.theirs

        def run(ready: Ready) -> None:
            _watch(theirs, namespaces, ready)

        place = home or next(iter(namespaces.values()))
        self._forked = Forked("the observer", place, run, keep=(theirs.fileno(),))

    def start(self) -> None:
        """Start it; every change from now on is noted. Raises LabError."""
        self._forked.start()
        self._dialogue.forked()
        self._forked.await_ready()

    def collect(self) -> list[AddressChange]:
        """All changes since the last call, in order. Raises LabError if some were missed."""
        missed, noted = cast(tuple[bool, list[_Noted]], self._dialogue.ask({"do": "collect"}))
        if missed:
            raise LabError("the observer missed address changes: its buffer was too small")
        return [
            AddressChange(at, machine, index, ipaddress.ip_address(address), added)
            for at, machine, index, address, added in noted
        ]

    def stop(self) -> None:
        """End the process. May be called again."""
        self._forked.kill()
        self._dialogue.close()


def _watch(control: socket.socket, namespaces: Mapping[str, str], ready: Ready) -> None:
    """The observer's life."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    sockets: dict[int, tuple[str, socket.socket]] = {}
    for machine, namespace in namespaces.items():
        with inside(namespace):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        poll.register(sock, select.POLLIN)
        sockets[sock.fileno()] = (machine, sock)
    ready()
    noted: list[_Noted] = []
    missed = False
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == control.fileno():
                if not control.recv(4096):
                    return
                # Everything that happened before the question belongs into the answer.
                missed |= _read_all(sockets.values(), noted)
                control.sendall(json.dumps([missed, noted]).encode() + b"\n")
                noted.clear()
            else:
                missed |= _read_all([sockets[descriptor]], noted)


def _read_all(
    sockets: Iterable[tuple[str, socket.socket]],
    noted: list[_Noted],
) -> bool:
    """Note everything the sockets hold; True if something was lost on the way."""
    missed = False
    for machine, sock in sockets:
        while True:
            try:
                data = sock.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: the kernel dropped some
                missed = True
                continue
            now = time.monotonic()
            for index, address, added in decode_changes(data):
                noted.append((now, machine, index, str(address), added))
    return missed
