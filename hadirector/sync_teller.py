"""Tells the peer's kernel of all connections that this one holds (`ipvs.telling`): sockets, pace.

The problem: the receiver is a thread of the other kernel with a socket buffer of 200 kB
(``net.ipv4.vs.sync_sock_size`` unless set); what comes faster than it reads is lost, and nobody
says so. The approach: a socket set up as the kernel's own sender is (interface, TTL, its own host
does not hear it), small bursts at a bounded rate, read and encoded in a thread, and an end whatever
happens: by time, and as soon as this director should not send any more.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.model import Table
from hadirector.ipvs.telling import Telling

CONNECTIONS: Final = Path("/proc/thread-self/net/ip_vs_conn")
FTP_PORTS: Final = Path("/sys/module/ip_vs_ftp/parameters/ports")
BURST: Final = 200
"""Connections read at once: five datagrams, where 90 fit into the receiver's buffer."""
A_SECOND: Final = 20_000
"""Records sent, at most; each connection is told of twice."""
TELL_S_MAX: Final = 60.0
"""So many seconds at most: 600,000 connections, twice."""
LOOK_S: Final = 1.0
"""How often it is asked whether this director should go on."""
NOT_TO_SEND: Final = "this director is not to send any more"
_IP_MTU: Final = 14
_IPV6_MTU: Final = 24
_HEADERS: Final = {socket.AF_INET: 28, socket.AF_INET6: 48}
_OCTETS_LEAST: Final = 512
_OCTETS_MOST: Final = 1472
"""As the kernel's own on a usual link: whoever receives reads no more at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a telling. `cut`: why it ended before all was told; empty: it did not."""

    connections: int
    seconds: float
    left_out: Mapping[str, int]
    cut: str = ""

    def __str__(self) -> str:
        words = f"{self.connections} connections in {self.seconds:.1f} s"
        if self.left_out:
            causes = ", ".join(f"{count} {cause}" for cause, count in sorted(self.left_out.items()))
            words += f"; {sum(self.left_out.values())} left out: {causes}"
        return f"{words}; not all: {self.cut}" if self.cut else words


class SyncMouth:
    """A socket to the group; a context manager by `closing`. Raises OSError when made."""

    def __init__(self, sync: ConnectionSync) -> None:
        index = socket.if_nametoindex(sync.interface)
        is_6 = sync.group.version == 6
        family = socket.AF_INET6 if is_6 else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if is_6:
                self._set(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
                self._set(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, sync.ttl)
                self._set(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
                self.socket.connect((str(sync.group), sync.port, 0, index))
                mtu = self.socket.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
            else:
                by_index = struct.pack("=4s4si", bytes(4), bytes(4), index)  # ip_mreqn
                self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, by_index)
                self._set(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, sync.ttl)
                self._set(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
                self.socket.connect((str(sync.group), sync.port))
                mtu = self.socket.getsockopt(socket.IPPROTO_IP, _IP_MTU)
        except OSError:
            self.socket.close()
            raise
        most = min(sync.maxlen or _OCTETS_MOST, mtu - _HEADERS[family])
        self.octets_max = max(_OCTETS_LEAST, most)

    def _set(self, level: int, option: int, value: int) -> None:
        self.socket.setsockopt(level, option, value)

    def close(self) -> None:
        """Say nothing more."""
        self.socket.close()


class _Pace:
    """When to go on, and when to stop."""

    def __init__(self, now: float, may_go_on: Callable[[], bool]) -> None:
        self._began = self._looked_at = now
        self._may_go_on = may_go_on
        self._cut = "" if may_go_on() else NOT_TO_SEND

    def cut(self, now: float) -> str:
        """Why it is to end; empty: it goes on."""
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._cut = "" if self._may_go_on() else NOT_TO_SEND
        if now - self._began > TELL_S_MAX:
            self._cut = f"it took longer than {TELL_S_MAX:.0f} s"
        return self._cut

    def seconds(self, now: float) -> float:
        """Since it began."""
        return now - self._began


async def tell_all(
    sync: ConnectionSync, table: Table, *, may_go_on: Callable[[], bool]
) -> tuple[Told, list[str]]:
    """Tell of all; what became of it, and a sample of what was told of, as keys of `peer.steady`.

    It reads and says all twice: a datagram may be lost, and where connections come and go the
    kernel's file passes over some that stay, since it finds its place again by counting. Raises
    OSError where nothing can be read or sent.
    """
    loop = asyncio.get_running_loop()
    helped = ftp_ports()
    with closing(SyncMouth(sync)) as mouth:
        first, again = (
            Telling(table, sync_id=sync.sync_id, octets_max=mouth.octets_max, ftp_ports=helped)
            for _ in range(2)
        )
        pace = _Pace(loop.time(), may_go_on)
        cut = await _tell(first, mouth, pace)
        if not cut:
            await _tell(again, mouth, pace)
    left_out = {str(cause): count for cause, count in first.left_out.items()}
    seconds = pace.seconds(loop.time())
    told = Told(connections=first.told, seconds=seconds, left_out=left_out, cut=cut)
    return told, first.sample


async def _tell(telling: Telling, mouth: SyncMouth, pace: _Pace) -> str:
    """Read and send once; why it ended too early, empty: it did not."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with _open() as lines:
        is_last = False
        while not is_last:
            if cut := pace.cut(loop.time()):
                return cut
            is_last, datagrams = await asyncio.to_thread(_burst, lines, telling)
            async with asyncio.timeout(TELL_S_MAX):
                for datagram in datagrams:
                    await loop.sock_sendall(mouth.socket, datagram)
            await asyncio.sleep(began + telling.told / A_SECOND - loop.time())
    return ""


def _open() -> TextIO:
    return CONNECTIONS.open()  # made up as it is read, so nothing is waited for


def _burst(lines: TextIO, telling: Telling) -> tuple[bool, list[bytes]]:
    taken = list(islice(lines, BURST))
    datagrams = telling.feed(taken)
    is_last = len(taken) < BURST
    return is_last, datagrams + (telling.finish() if is_last else [])


def ftp_ports() -> frozenset[int]:
    """The ports of the kernel's FTP helper; none where it is not loaded."""
    try:
        words = FTP_PORTS.read_text().replace(",", " ").split()
    except OSError:
        return frozenset()
    return frozenset(int(word) for word in words if word.isdecimal()) - {0}
