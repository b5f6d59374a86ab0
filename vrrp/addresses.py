"""Interfaces and addresses of this host: read, watched, changed.

The problem. Who is active is decided by packets, but what counts is which addresses are on which
interface, and other programs change those too: a network manager flushes an interface, a link
loses its carrier, a whole interface goes and comes back with another index.

The approach. The kernel is the truth. For each watched interface there is one snapshot; any
notification only leads to reading again, and a snapshot that came out different is reported by
name. Our own changes are entered into the snapshot when the kernel has acknowledged them. Reading
and changing exclude each other, so that a slow reading never overwrites a newer change.

pyroute2 (AsyncIPRoute) does the talking; requests get a time limit, because a reply that was lost
in a full buffer is waited for without end. Removing is in `netlink`, shared with the last will.

This module never decides which address should be where.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any, Final

from pyroute2 import AsyncIPRoute, NetlinkError

from vrrp import netlink, virtual_mac
from vrrp.choices import Scope
from vrrp.config import IPInterface
from vrrp.hands import AddressError, Interface
from vrrp.packet import IPAddress

REQUEST_TIMEOUT_S: Final = 2.0
REFRESH_RETRY_S: Final = 1.0
IN_USE_BOUND_S: Final = 0.1
_IN_USE_POLL_S: Final = 0.001
_RTN_LOCAL: Final = 2  # linux/rtnetlink.h
_IFF_UP: Final = 0x1  # linux/if.h
_IFF_LOWER_UP: Final = 0x10000
_IFA_F_NODAD: Final = 0x02  # linux/if_addr.h
_UNROUTED: Final = 0x200  # IFA_F_NOPREFIXROUTE
_IFA_F_DADFAILED: Final = 0x08
_IFA_F_TENTATIVE: Final = 0x40


# The election has decided whose the address is: a test for duplicates would delay it by a second or
# find the peer that is just leaving. Preferred for zero seconds: connections of this host keep its
# own address, or they would break when the virtual one moves on (RFC 4862 section 5.5.4).
_IPV6_OPTIONS: Final[dict[str, Any]] = {
    "flags": _IFA_F_NODAD,
    "preferred": 0,
    "valid": 0xFFFFFFFF,
}


_ByIndex = dict[int, dict[IPInterface, None]]
"""In the kernel's order; a dump may repeat what changed while it ran."""
_SCOPES: Final = {Scope.GLOBAL: 0, Scope.SITE: 200, Scope.LINK: 253, Scope.HOST: 254}
"""linux/rtnetlink.h. Of IPv6 the kernel makes the scope from the address."""


def _options(
    address: IPInterface, scope: Scope, label: str | None, *, routed: bool
) -> dict[str, Any]:
    """Return how an address is added."""
    if address.version == 6:
        return _IPV6_OPTIONS if routed else _IPV6_OPTIONS | {"flags": _IFA_F_NODAD | _UNROUTED}
    options: dict[str, Any] = {"scope": _SCOPES[scope]}
    if label is not None:
        options["label"] = label
    return options if routed else options | {"flags": _UNROUTED}


class Interfaces:
    """The snapshots of all watched interfaces. Needs CAP_NET_ADMIN to change addresses."""

    def __init__(self, on_change: Callable[[str], None], on_trouble: Callable[[str], None]) -> None:
        """Say whom to call.

        `on_change` gets the name of an interface whose snapshot changed, `on_trouble` a sentence
        when the kernel could not be asked; that is tried again until it works.
        """
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._trouble = ""
        self._snapshots: dict[str, Interface] = {}
        self._watch = netlink.Watch()
        self._stale = asyncio.Event()
        self._exclusive = asyncio.Lock()
        self._route = AsyncIPRoute()
        self._helper: ThreadPoolExecutor | None = None

    def __getitem__(self, name: str) -> Interface:
        """Return the snapshot of a watched interface."""
        return self._snapshots[name]

    def holds(self, name: str, address: IPAddress) -> bool:
        """Tell whether an address is on an interface that is switched on."""
        present = self._snapshots.get(name)
        if present is None or not present.switched_on:
            return False
        return any(one.ip == address for one in present.addresses)

    async def watch(self, names: frozenset[str]) -> None:
        """Watch exactly these interfaces; their snapshots are there when this returns."""
        async with self._exclusive:  # not while they are read
            missing = [name for name in names if name not in self._snapshots]
            for name in [name for name in self._snapshots if name not in names]:
                del self._snapshots[name]
            for name in missing:
                self._snapshots[name] = Interface(name=name, problem=f"interface {name} is missing")
        await self._try_reading()

    async def run(self) -> None:
        """Keep the snapshots true until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._watch, self._note)
        try:
            while True:
                await self._stale.wait()
                self._stale.clear()
                await self._try_reading()
        finally:
            loop.remove_reader(self._watch)

    def close(self) -> None:
        """Close the sockets."""
        self._watch.close()
        self._route.close()
        if self._helper is not None:
            self._helper.shutdown()

    async def add(
        self,
        name: str,
        address: IPInterface,
        *,
        scope: Scope = Scope.GLOBAL,
        label: str | None = None,
        routed: bool = True,
    ) -> None:
        """Put `address` on an interface; fine if it is there already. Raises AddressError.

        `routed`: its network is reached through this interface.
        """
        async with self._exclusive:
            snapshot = self._snapshots[name]
            if address in snapshot.present:
                return
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await self._route.addr(
                        "add",
                        index=snapshot.index,
                        address=str(address.ip),
                        prefixlen=address.network.prefixlen,
                        **_options(address, scope, label, routed=routed),
                    )
                    await self._until_in_use(snapshot.index, address)
            except NetlinkError as error:
                if error.code != errno.EEXIST:
                    raise AddressError(f"cannot add {address} to {name}: {error}") from error
            except (OSError, TimeoutError) as error:
                raise AddressError(f"cannot add {address} to {name}: {error!r}") from error
            self._snapshots[name] = replace(snapshot, addresses=(*snapshot.addresses, address))

    async def _until_in_use(self, index: int, address: IPInterface) -> None:
        """Wait until this host takes packets for an address that it has just been given.

        Of IPv6 the kernel acknowledges the address first and enters its route later, in a work
        queue (net/ipv6/addrconf.c, addrconf_dad_work), which a real-time process like this one
        keeps from running. Announced in between, it draws packets that are *forwarded*, with a
        redirect that sends the client back to the director that is just leaving. Bounded: on an
        interface that is going down there may never be such a route.
        """
        until = time.monotonic() + IN_USE_BOUND_S
        while address.version == 6 and time.monotonic() < until:
            with suppress(NetlinkError):  # no route to it at all, yet
                [route] = await self._route.route("get", dst=str(address.ip), oif=index)
                if route["type"] == _RTN_LOCAL:
                    return
            await asyncio.sleep(_IN_USE_POLL_S)

    async def remove(self, name: str, address: IPInterface) -> None:
        """Take exactly `address` off an interface; fine if it is gone. Raises AddressError."""
        async with self._exclusive:
            try:
                netlink.remove_address(name, address)
            except OSError as error:
                raise AddressError(f"cannot remove {address} from {name}: {error}") from error
            snapshot = self._snapshots[name]
            left = tuple(other for other in snapshot.addresses if other != address)
            self._snapshots[name] = replace(snapshot, addresses=left)

    async def add_macvlan(
        self, name: str, *, below: int, mode: str, hardware_address: bytes
    ) -> None:
        """Make a macvlan above the interface with the index `below`. Raises AddressError."""
        await self._change(
            f"make {name}",
            name,
            self._route.link(
                "add",
                ifname=name,
                kind="macvlan",
                link=below,
                macvlan_mode=mode,
                address=hardware_address.hex(":"),
            ),
        )

    async def set_alias(self, name: str, alias: str) -> None:
        """Give an interface an alias, a text for people and programs. Raises AddressError."""
        index = self._snapshots[name].index
        await self._change(
            f"mark {name}", name, self._route.link("set", index=index, ifalias=alias)
        )

    async def switch_on(self, name: str) -> None:
        """Switch an interface on. Raises AddressError."""
        index = self._snapshots[name].index
        work = self._route.link("set", index=index, state="up")
        await self._change(f"switch {name} on", name, work)

    async def _change(self, what: str, name: str, work: Awaitable[object]) -> None:
        """Have a link changed, and enter what came of it. Raises AddressError."""
        async with self._exclusive:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await work
                    found = await self._read_link(name)
            except (NetlinkError, OSError, TimeoutError) as error:
                reason = error.args[1] if isinstance(error, NetlinkError) else repr(error)
                raise AddressError(f"cannot {what}: {reason}") from error
            known = self._snapshots[name]
            if known.index == found.index:
                found = replace(found, addresses=known.addresses, tentative=known.tentative)
            self._snapshots[name] = found

    async def switch_off(self, name: str) -> None:
        """Switch an interface off; fine if it is gone. Raises AddressError."""
        await self._slowly(netlink.switch_off, "switch off", name)

    async def delete_link(self, name: str) -> None:
        """Delete an interface; fine if it is gone. Raises AddressError."""
        await self._slowly(netlink.delete_link, "delete", name)

    async def _slowly(self, work: Callable[[str], bool], what: str, name: str) -> None:
        """Have another thread wait while the kernel lets go of an interface: some 10 to 50 ms.

        (It waits until no processor handles a packet of that interface: synchronize_net.)
        """
        if self._helper is None:
            self._helper = ThreadPoolExecutor(max_workers=1)
        async with self._exclusive:
            try:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._helper, work, name)
                found = await self._read_link(name)
            except (NetlinkError, OSError) as error:
                raise AddressError(f"cannot {what} {name}: {error}") from error
            if name in self._snapshots:
                known = self._snapshots[name]
                addresses = known.addresses if found.index else ()
                self._snapshots[name] = replace(found, addresses=addresses)

    async def marked(self) -> list[str]:
        """Return the names of all interfaces that have the mark of a virtual MAC of ours.

        Raises AddressError.
        """
        try:
            async with self._exclusive, asyncio.timeout(REQUEST_TIMEOUT_S):
                links = [link async for link in await self._route.get_links()]
        except (NetlinkError, OSError, TimeoutError) as error:
            raise AddressError(f"cannot list the interfaces: {error!r}") from error
        return [
            str(link.get_attr("IFLA_IFNAME"))
            for link in links
            if virtual_mac.is_marked(link.get_attr("IFLA_IFALIAS") or "")
        ]

    # ------------------------------------------------------------------- reading

    def _note(self) -> None:
        """Take in notifications; only those about watched interfaces matter."""
        indexes = self._watch.changed()
        watched = {snapshot.index for snapshot in self._snapshots.values()}
        if indexes is None or indexes & watched:
            self._stale.set()

    async def _try_reading(self) -> None:
        """Read again, and have it done again later if that fails."""
        try:
            await self._read_again()
            self._trouble = ""
        except (OSError, NetlinkError, TimeoutError) as error:
            trouble = f"cannot read interfaces and addresses: {error!r}"
            if trouble != self._trouble:
                self._trouble = trouble
                self._on_trouble(trouble)
            asyncio.get_running_loop().call_later(REFRESH_RETRY_S, self._stale.set)

    async def _read_again(self) -> None:
        """Read all watched interfaces and report those that changed."""
        async with self._exclusive:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                fresh = [await self._read_link(name) for name in self._snapshots]
                addresses, tentative = await self._read_addresses()
            changed = []
            for link in fresh:
                present = tuple(addresses.get(link.index, ()))
                untested = frozenset(tentative.get(link.index, ()))
                found = replace(link, addresses=present, tentative=untested)
                if found != self._snapshots[link.name]:
                    self._snapshots[link.name] = found
                    changed.append(link.name)
        for name in changed:
            self._on_change(name)

    async def _read_link(self, name: str) -> Interface:
        missing = Interface(name=name, problem=f"interface {name} is missing")
        try:
            index = netlink.index_of(name)
            [link] = await self._route.link("get", index=index)
        except (OSError, NetlinkError) as error:
            code = error.code if isinstance(error, NetlinkError) else error.errno
            if code in netlink.NOTHING_THERE:
                return missing
            raise
        if link.get_attr("IFLA_IFNAME") != name:
            return missing  # renamed between the two questions
        problem = None
        up = bool(link["flags"] & _IFF_UP)
        if not up:
            problem = f"interface {name} is switched off"
        elif not link["flags"] & _IFF_LOWER_UP:
            problem = f"interface {name} has no carrier"
        hardware_address = bytes.fromhex((link.get_attr("IFLA_ADDRESS") or "").replace(":", ""))
        info = link.get_attr("IFLA_LINKINFO")
        return Interface(
            name=name,
            index=index,
            problem=problem,
            hardware_address=hardware_address,
            switched_on=up,
            kind=(info.get_attr("IFLA_INFO_KIND") or "") if info is not None else "",
            below=link.get_attr("IFLA_LINK") or 0,
            alias=link.get_attr("IFLA_IFALIAS") or "",
        )

    async def _read_addresses(self) -> tuple[_ByIndex, _ByIndex]:
        """Return the addresses of this namespace by interface index; all, and the tentative."""
        found: _ByIndex = {}
        tentative: _ByIndex = {}
        async for message in await self._route.get_addr():
            local = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            address = ip_interface(f"{local}/{message['prefixlen']}")
            found.setdefault(message["index"], {})[address] = None
            flags = message.get_attr("IFA_FLAGS") or message["flags"]
            if address.version == 6 and flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
                tentative.setdefault(message["index"], {})[address] = None
        return found, tentative
