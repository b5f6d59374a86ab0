"""Interfaces and addresses of this host: read, watched, changed.

The problem. Who is active is decided by packets, but what counts is which addresses are on which
interface, and other programs change those too: a network manager flushes an interface, a link
loses its carrier, a whole interface goes and comes back with another index.

The approach. The kernel is the truth. For each watched interface there is one snapshot; any
notification only leads to reading again, and a snapshot that came out different is reported by
name. Our own changes are entered into the snapshot when the kernel has acknowledged them. An
address that moves waits for nothing, a reading under way included; one during which something was
changed is done again, so that it never overwrites what is newer.

pyroute2 (AsyncIPRoute) does the reading, and changes links; requests get a time limit, because a
reply that was lost in a full buffer is waited for without end. Each reading has a socket of its own
(0.15 ms): one that is kept collects the acknowledgements that follow some answers, without end.
Addresses are changed by `netlink`.

This module never decides which address should be where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_interface
from typing import Final

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

_ByIndex = dict[int, dict[IPInterface, None]]
"""In the kernel's order; a dump may repeat what changed while it ran."""
_SCOPES: Final = {Scope.GLOBAL: 0, Scope.SITE: 200, Scope.LINK: 253, Scope.HOST: 254}
"""linux/rtnetlink.h. Of IPv6 the kernel makes the scope from the address."""


def _flags(address: IPInterface, *, routed: bool) -> int:
    """Return how an address is added.

    The election has decided whose it is: a test for duplicates (of IPv6) would delay it by a
    second, or find the peer that is just leaving.
    """
    untested = _IFA_F_NODAD if address.version == 6 else 0
    return untested if routed else untested | _UNROUTED


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
        self._changes = 0
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
        snapshot = self._snapshots[name]
        if address in snapshot.present:
            return
        flags = _flags(address, routed=routed)
        number = _SCOPES[scope] if address.version == 4 else 0
        try:
            netlink.add_address(snapshot.index, address, scope=number, flags=flags, label=label)
        except OSError as error:
            raise AddressError(f"cannot add {address} to {name}: {error}") from error
        self._enter(name, (*snapshot.addresses, address))
        if address.version == 6:
            await self._until_in_use(snapshot.index, address)
        else:
            await asyncio.sleep(0)  # hundreds may come at once: advertisements have their turn

    async def _until_in_use(self, index: int, address: IPInterface) -> None:
        """Wait until this host takes packets for an address that it has just been given.

        Of IPv6 the kernel acknowledges the address first and enters its route later, in a work
        queue (net/ipv6/addrconf.c, addrconf_dad_work), which a real-time process like this one
        keeps from running. Announced in between, it draws packets that are *forwarded*, with a
        redirect that sends the client back to the director that is just leaving. Bounded: on an
        interface that is going down there may never be such a route.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(IN_USE_BOUND_S), AsyncIPRoute() as kernel:
                while True:
                    with suppress(NetlinkError):  # no route to it at all, yet
                        [route] = await kernel.route("get", dst=str(address.ip), oif=index)
                        if route["type"] == _RTN_LOCAL:
                            return
                    await asyncio.sleep(_IN_USE_POLL_S)

    async def remove(self, name: str, address: IPInterface) -> None:
        """Take exactly `address` off an interface; fine if it is gone. Raises AddressError."""
        try:
            netlink.remove_address(name, address)
        except OSError as error:
            raise AddressError(f"cannot remove {address} from {name}: {error}") from error
        self._enter(name, (other for other in self._snapshots[name].addresses if other != address))

    def _enter(self, name: str, addresses: Iterable[IPInterface]) -> None:
        """Note a change of ours, newer than any reading under way."""
        self._snapshots[name] = replace(self._snapshots[name], addresses=tuple(addresses))
        self._changes += 1

    async def add_macvlan(
        self, name: str, *, below: int, mode: str, hardware_address: bytes
    ) -> None:
        """Make a macvlan above the interface with the index `below`. Raises AddressError."""
        await self._change(
            f"make {name}",
            name,
            lambda kernel: kernel.link(
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
            f"mark {name}", name, lambda kernel: kernel.link("set", index=index, ifalias=alias)
        )

    async def switch_on(self, name: str) -> None:
        """Switch an interface on. Raises AddressError."""
        index = self._snapshots[name].index
        await self._change(
            f"switch {name} on", name, lambda kernel: kernel.link("set", index=index, state="up")
        )

    async def _change(
        self, what: str, name: str, work: Callable[[AsyncIPRoute], Awaitable[object]]
    ) -> None:
        """Have a link changed, and enter what came of it. Raises AddressError."""
        async with self._exclusive:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S), AsyncIPRoute() as kernel:
                    await work(kernel)
                    found = await _read_link(kernel, name)
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
                async with asyncio.timeout(REQUEST_TIMEOUT_S), AsyncIPRoute() as kernel:
                    found = await _read_link(kernel, name)
            except (NetlinkError, OSError, TimeoutError) as error:
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
            async with asyncio.timeout(REQUEST_TIMEOUT_S), AsyncIPRoute() as kernel:
                links = [link async for link in await kernel.get_links()]
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
            async with asyncio.timeout(REQUEST_TIMEOUT_S), AsyncIPRoute() as kernel:
                before = None
                while before != self._changes:
                    before = self._changes
                    fresh = [await _read_link(kernel, name) for name in self._snapshots]
                    addresses, tentative = await _read_addresses(kernel)
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


async def _read_link(kernel: AsyncIPRoute, name: str) -> Interface:
    missing = Interface(name=name, problem=f"interface {name} is missing")
    try:
        index = netlink.index_of(name)
        [link] = await kernel.link("get", index=index)
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


async def _read_addresses(kernel: AsyncIPRoute) -> tuple[_ByIndex, _ByIndex]:
    """Return the addresses of this namespace by interface index; all, and the tentative."""
    found: _ByIndex = {}
    tentative: _ByIndex = {}
    async for message in await kernel.get_addr():
        local = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        address = ip_interface(f"{local}/{message['prefixlen']}")
        found.setdefault(message["index"], {})[address] = None
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        if address.version == 6 and flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            tentative.setdefault(message["index"], {})[address] = None
    return found, tentative
