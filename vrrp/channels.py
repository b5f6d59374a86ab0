"""The sockets for advertisements of this host, one for each interface and version of IP in use.

An interface may be missing, come, go and come again with another index; a socket bound to the old
one hears nothing any more. So whenever an interface changed, `refresh` compares what is open with
what should be. What cannot be opened is remembered with its reason: virtual routers there are in
fault until the next change.

This module never decides which router a packet is for (`directory`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vrrp import sysctl
from vrrp.config import RouterSettings
from vrrp.hands import Interface
from vrrp.packet import Datagram, IPAddress
from vrrp.transport import Channel

Key = tuple[str, int]
"""Interface and version of IP."""


class Channels:
    """The raw sockets of the worker."""

    def __init__(
        self, receive: Callable[[str, Datagram], None], note: Callable[[str, str], None]
    ) -> None:
        """`receive` takes what arrives, with its interface; `note` events: kind and sentence."""
        self._receive = receive
        self._note = note
        self._open: dict[Key, Channel] = {}
        self._multicast: dict[Key, bool] = {}  # whether it is spoken there, by all that is wanted
        self._obstacles: dict[Key, str] = {}

    @property
    def interfaces(self) -> frozenset[str]:
        """Where a socket is open."""
        return frozenset(name for name, _ in self._open)

    def configure(self, settings: Iterable[RouterSettings]) -> None:
        """Want sockets for these virtual routers, and close those that nobody needs.

        They are opened by `refresh`.
        """
        self._multicast = {}
        for one in settings:
            key = (one.interface, one.family)
            self._multicast[key] = self._multicast.get(key, False) or not one.peers
        for unused in [key for key in self._open if key not in self._multicast]:
            self._open.pop(unused).close()

    def refresh(self, interface: Interface) -> None:
        """Have the sockets of an interface be open, if there is such an interface now."""
        for key in [key for key in self._multicast if key[0] == interface.name]:
            channel = self._open.get(key)
            wanted = (interface.index, self._multicast[key])
            if channel is not None and (channel.index, channel.multicast) != wanted:
                self._open.pop(key).close()
                channel = None
            self._obstacles.pop(key, None)
            if channel is None and interface.index:
                self._open_one(key, interface.index)

    def obstacle(self, interface: str, family: int) -> str | None:
        """Say why there is no socket for advertisements; None: there is one, or no interface."""
        return self._obstacles.get((interface, family))

    def send(
        self, settings: RouterSettings, payload: bytes, source: IPAddress, destination: IPAddress
    ) -> None:
        """Send an advertisement. Raises OSError."""
        channel = self._open.get((settings.interface, source.version))
        if channel is None:
            raise OSError(f"{settings.interface} is not open")
        channel.send(payload, source, destination, settings.hardware_address)

    def close(self) -> None:
        """Close all sockets."""
        for channel in self._open.values():
            channel.close()

    def _open_one(self, key: Key, index: int) -> None:
        """Open a socket on an interface, or note why that is impossible."""
        name, family = key

        def receive(datagram: Datagram) -> None:
            self._receive(name, datagram)

        try:
            if sysctl.end_forgotten_silence(name):
                text = f"{name} answered no ARP since a handover that was cut short; it does again"
                self._note("arp-restored", text)
        except OSError:
            pass  # read-only /proc/sys: then nobody can have changed it either
        try:
            self._open[key] = Channel(
                name, index, family, multicast=self._multicast[key], receiver=receive
            )
        except OSError as error:
            text = f"cannot open a raw socket for IPv{family} on {name}: {error.strerror or error}"
            self._obstacles[key] = text
