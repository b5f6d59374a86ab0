"""What the wire says of a takeover, as far as this host hears it: who advertises, who announces.

The problem: the peer channel tells of a new role within a tenth of a second, and a director that
was just killed tells nothing. The approach: the other director's own advertisements and gratuitous
ARP are heard here with the time of each. An interface on which nothing can be heard is left out.

It must never send anything. Reference: packet(7), RFC 5227 section 3 (announcements).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from hadirector.drill.arp import FRAME_BYTES_MAX, announced, arp_socket
from hadirector.drill.course import Heard
from vrrp.config import RouterSettings
from vrrp.dissect import dissect
from vrrp.listen import ListenError, open_socket


class Wire:
    """Listens on the interfaces of these virtual routers; times are Unix time of this host."""

    def __init__(self, routers: Iterable[RouterSettings], heard: Heard) -> None:
        self.heard = heard
        self.deaf: list[str] = []
        """Why something is not heard, as sentences."""
        self._routers = tuple(routers)
        self._exits = ExitStack()

    def begin(self) -> None:
        """Listen from now on, within the running event loop."""
        for interface in dict.fromkeys(each.interface for each in self._routers):
            try:
                self._listen(interface)
            except (ListenError, OSError) as error:
                self.deaf.append(f"nothing is heard on {interface}: {error}")

    def end(self) -> None:
        """Listen no more."""
        self._exits.close()

    def _listen(self, interface: str) -> None:
        loop = asyncio.get_running_loop()
        ears = (
            (open_socket(interface), self._advertisement),
            (arp_socket(interface), self._announcement),
        )
        for ear, take in ears:
            self._exits.enter_context(ear)
            ear.setblocking(False)

            def read(ear: socket.socket = ear, take=take) -> None:  # type: ignore[no-untyped-def]
                with suppress(BlockingIOError, OSError):  # an interface that goes down says so once
                    frame, sender = ear.recvfrom(FRAME_BYTES_MAX)
                    if sender[2] != socket.PACKET_OUTGOING:
                        take(interface, frame)

            loop.add_reader(ear, read)
            self._exits.callback(loop.remove_reader, ear)

    def _advertisement(self, interface: str, frame: bytes) -> None:
        told = dissect(frame)
        for router in self._routers:
            same = router.interface == interface and router.vrid == told.vrid
            if same and told.priority and not told.problems:
                self.heard.advertised.setdefault(router.name, time.time())

    def _announcement(self, interface: str, frame: bytes) -> None:
        address = announced(frame)
        for router in self._routers:
            if router.interface == interface and address in {a.ip for a in router.all_addresses}:
                self.heard.announced.setdefault(router.name, time.time())
