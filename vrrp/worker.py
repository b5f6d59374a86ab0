"""The program that runs all virtual routers of a host: `python -m vrrp.worker FD`.

FD is one end of a stream socket pair; the supervisor has the other one. The first message is
Configure (`messages`); a later one is applied as a difference. The worker answers with its last
will at every change, reports, events, and a heartbeat.

How it ends
* Stop (or SIGTERM while the supervisor lives): it falls silent, hands over its final last will and
  exits *without touching an address*; the supervisor executes the will, as after a crash.
* The supervisor is gone (end of the socket, or the kernel's signal at a parent's death): nobody
  else is left, so it executes the will itself and exits.
* An error nobody foresaw: it exits with a traceback. The supervisor sees that, executes the will
  and starts another one. A worker that limps on would be worse.

It is small and does nothing but this, so that adverts are never late; it asks for real-time
scheduling and locked memory, and says when it does not get them.

This module never decides who is active, and never waits for the supervisor.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from enum import Enum, auto
from functools import partial

from vrrp import kernel_paths, process
from vrrp.acceptance import Acceptance
from vrrp.addresses import Interfaces
from vrrp.announce import Announcer
from vrrp.channels import Channels
from vrrp.config import IPInterface, RouterSettings
from vrrp.devices import Devices
from vrrp.directory import Directory, Key, key_of
from vrrp.estate import Estate
from vrrp.hands import AddressError, Interface
from vrrp.line import Line
from vrrp.messages import (
    Configure,
    Event,
    Facts,
    Guidance,
    Hold,
    Message,
    MessageError,
    Promote,
    Reannounce,
    RouterWill,
    RunHooks,
    Stop,
)
from vrrp.packet import IPAddress
from vrrp.paths import Path
from vrrp.priority import Reading
from vrrp.pulse import Pulse
from vrrp.router import Router
from vrrp.tracked import Tracker
from vrrp.tracking import Tracking


class _Ending(Enum):
    STOPPED = auto()
    ORPHANED = auto()


class Worker:
    """All virtual routers of this host, and the hands they share."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._parent = os.getppid()
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[_Ending] = self._loop.create_future()
        self._tasks: asyncio.TaskGroup | None = None
        self._interfaces = Interfaces(
            self._interface_changed, partial(self._note, "netlink-trouble")
        )
        self._tracking = Tracking(
            self.interface, self._readings_changed, self._chores_started, self.tell
        )
        self._announcer = Announcer(self._interfaces.holds)
        self._directory = Directory()
        self._channels = Channels(self._directory.receive, self._note)
        self._routers: dict[Key, Router] = {}
        self._keepers: dict[Key, asyncio.Task[None]] = {}
        self._devices = Devices(self._interfaces, self._note)
        self._acceptance = Acceptance()
        self._estate = Estate(self._wills, lambda: self._devices.wills, self.tell, self._sweep)
        self._held = False
        self._guidance = Guidance()
        self._pulse = Pulse(self.now, self.tell, self._routers.values)

    async def run(self) -> None:
        """Work until told to stop or left alone."""
        self._loop.set_exception_handler(self._fail)
        self._loop.add_signal_handler(signal.SIGTERM, self._terminated)
        asked = (process.claim_realtime(), process.lock_memory())
        self._pulse.refused = tuple(sentence for sentence in asked if sentence)
        for sentence in self._pulse.refused:
            self._note("unprivileged", sentence)
        async with asyncio.TaskGroup() as self._tasks:
            background = [
                self._tasks.create_task(self._listen()),
                self._tasks.create_task(self._interfaces.run()),
                self._tasks.create_task(self._tracking.run()),
                self._tasks.create_task(self._pulse.beat()),
                self._tasks.create_task(self._pulse.report()),
            ]
            ending = await self._ending
            for router in self._routers.values():
                router.stop()
            for task in [*background, *self._keepers.values()]:
                task.cancel()
            if ending is _Ending.STOPPED:
                self._estate.tell_finally()
            if ending is _Ending.ORPHANED or not await self._line.flush():
                for sentence in await self._estate.execute():
                    print(sentence, file=sys.stderr)
            # Handovers in the background end by themselves, within their linger.
        self._close()

    # ------------------------------------------------------- hands of the routers

    def now(self) -> float:
        """Return seconds since boot, those included in which this host was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def interface(self, name: str) -> Interface:
        """Return what is known of an interface."""
        return self._interfaces[name]

    def obstacle(self, settings: RouterSettings) -> str | None:
        """Say why there is no socket for advertisements; None: there is one, or no interface."""
        return self._channels.obstacle(settings.interface, settings.family)

    def remark(self, settings: RouterSettings) -> str:
        """Say what of a virtual router's configuration is not in force."""
        return self._acceptance.trouble if settings.refused_addresses else ""

    def virtual_addresses(self, interface: str) -> frozenset[IPAddress]:
        """Return the addresses that any virtual router manages on an interface."""
        return self._directory.virtual_addresses(interface)

    def send(
        self, settings: RouterSettings, payload: bytes, source: IPAddress, destination: IPAddress
    ) -> None:
        """Send an advertisement. Raises OSError."""
        self._channels.send(settings, payload, source, destination)

    def announce(self, settings: RouterSettings) -> None:
        """Send gratuitous ARP, or neighbour advertisements. Raises OSError."""
        self._announcer.announce(
            settings.interface,
            settings.hardware_address or self._interfaces[settings.interface].hardware_address,
            [
                address.ip
                for address in settings.all_addresses
                if address in self._interfaces[settings.device].present
            ],
            settings.announce_count,
            device=settings.device,
        )

    async def see_to_device(self, settings: RouterSettings, *, up: bool) -> bool:
        """Have the interface of a virtual MAC there. Raises AddressError."""
        before = self._devices.wills
        try:
            return await self._devices.see_to(settings, up=up)
        finally:
            if self._devices.wills != before:
                self.wills_changed()

    async def _sweep(self) -> None:
        """Delete the interfaces of virtual MACs that nobody has any more."""
        wanted = {one.device for router in self._routers.values() for one in router.settings}
        try:
            await self._devices.sweep(wanted | self._estate.devices_in_use)
        except AddressError as error:
            self._note("device-leftover", str(error))

    async def add(self, settings: RouterSettings, address: IPInterface) -> None:
        """Put an address where a virtual router has them. Raises AddressError."""
        await self._interfaces.add(
            settings.device,
            address,
            scope=settings.scope,
            label=settings.label if address.version == 4 else None,
            # Of a link-local network, each interface has its own.
            routed=not settings.virtual_mac or address.is_link_local,
        )

    async def remove(self, interface: str, address: IPInterface) -> None:
        """Take an address off an interface. Raises AddressError."""
        await self._interfaces.remove(interface, address)

    def add_path(self, interface: str, path: Path) -> bool:
        """Add a route or rule; tell whether it was missing. Raises AddressError."""
        try:
            return kernel_paths.add(interface, path)
        except OSError as error:
            raise AddressError(f"cannot add {path} on {interface}: {error.strerror}") from error

    def remove_path(self, interface: str, path: Path) -> None:
        """Remove a route or rule of ours; fine if it is gone. Raises AddressError."""
        try:
            kernel_paths.remove(interface, path)
        except OSError as error:
            raise AddressError(f"cannot remove {path}: {error.strerror}") from error

    def reading(self, tracker: Tracker) -> Reading:
        """Return what is known of something that a priority depends on."""
        return self._tracking.reading(tracker)

    def run_hooks(self, told: RunHooks) -> None:
        """Have the hooks of a virtual router run, by somebody else."""
        self._tracking.run_hooks(told)

    def tell(self, message: Message) -> None:
        """Send a message to the supervisor, without waiting."""
        self._line.tell(message)

    def wills_changed(self) -> None:
        """Hand the last will to the supervisor before any address is taken."""
        self._estate.changed()

    def hand_over(self, leaving: RouterWill) -> None:
        """Leave a virtual router that is not configured any more, in good order."""
        if self._tasks is not None:
            self._estate.hand_over(leaving, self._tasks)

    def woken(self, late_s: float) -> None:
        """Note how late a timer was."""
        self._pulse.woken(late_s)

    # ----------------------------------------------------------- the supervisor

    async def _listen(self) -> None:
        """Act on messages until the supervisor is gone."""
        async for message in self._line.messages():
            match message:
                case Configure():
                    await self._configure(message)
                case Hold():
                    self._hold(message)
                case Facts():
                    self._tracking.told(message)
                case Guidance():
                    self._guidance = message
                    for router in self._routers.values():
                        router.guide(message)
                case Promote():
                    for router in self._routers.values():
                        router.promote(message)
                case Reannounce():
                    for router in self._routers.values():
                        router.reannounce(message)
                case Stop(reason=reason):
                    self._note("stopping", reason)
                    self._end(_Ending.STOPPED)
                case MessageError():
                    self._note("message-error", str(message))
                case _:
                    self._note("message-error", f"a {type(message).__name__} is not for the worker")
        self._end(_Ending.ORPHANED)

    async def _configure(self, message: Configure) -> None:
        """Run exactly the routers of `message`; those that stay the same are not disturbed."""
        self._pulse.heartbeat_s = message.heartbeat_s
        wanted: dict[Key, list[RouterSettings]] = {}
        for settings in message.routers:
            wanted.setdefault(key_of(settings), []).append(settings)
        interfaces = frozenset(settings.interface for settings in message.routers)
        devices = frozenset(settings.device for settings in message.routers)
        refused = [address for one in message.routers for address in one.refused_addresses]
        # In a thread: the kernel may have to load a module first, which takes its time.
        if refused and not await asyncio.to_thread(self._acceptance.refuse, refused):
            self._note("accepting", self._acceptance.trouble)
        elif not refused:
            self._acceptance.close()
        trackers = [tracker for settings in message.routers for tracker in settings.track]
        tracked = frozenset(t.interface for t in trackers if t.interface is not None)
        leaving = [key for key in self._routers if key not in wanted]
        # Watch the new interfaces first, let go of the old ones last: routers look at both.
        await self._interfaces.watch(
            interfaces
            | devices
            | self._devices.names
            | tracked
            | self._tracking.interfaces
            | self._channels.interfaces
        )
        has_hooks = any(settings.hooks for settings in message.routers)
        self._tracking.configure(trackers, has_hooks=has_hooks)
        for key in leaving:
            self._routers[key].configure([])
            del self._routers[key]
            self._keepers.pop(key).cancel()
        for key, members in wanted.items():
            router = self._routers.get(key)
            if router is None:
                router = self._routers[key] = Router(key[1], self)
                router.hold(self._held)
                router.guide(self._guidance)
                if self._tasks is not None:
                    task = self._tasks.create_task(router.keep_addresses())
                    self._keepers[key] = task
            router.configure(members)
        self._directory.configure(message.routers, self._routers)
        self._channels.configure(message.routers)
        for name in sorted(interfaces):
            self._interface_changed(name)
        await self._interfaces.watch(interfaces | devices | self._devices.names | tracked)
        await self._sweep()
        self.wills_changed()
        gc.collect()
        gc.freeze()  # what lives now lives on: the collector need not look at it again

    def _hold(self, message: Hold) -> None:
        """Keep all routers from preempting, or let them again."""
        if message.held != self._held:
            self._held = message.held
            sentence = f"{'held' if message.held else 'released'}: {message.reason}"
            self._note("hold", sentence)
        for router in self._routers.values():
            router.hold(message.held)

    # ------------------------------------------------------------------ the ends

    def _end(self, how: _Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(how)

    def _terminated(self) -> None:
        """SIGTERM: from the kernel if the supervisor died, else from somebody who means it."""
        orphaned = os.getppid() != self._parent
        self._end(_Ending.ORPHANED if orphaned else _Ending.STOPPED)

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """An exception nobody caught, in a callback: end the process with it."""
        error = context.get("exception")
        if not isinstance(error, Exception):
            error = RuntimeError(str(context.get("message")))
        if not self._ending.done():
            self._ending.set_exception(error)

    def _close(self) -> None:
        self._channels.close()
        self._interfaces.close()
        self._announcer.close()
        self._acceptance.close()
        self._line.close()

    # ------------------------------------------------------------------- routers

    def _wills(self) -> list[RouterWill]:
        return [one for router in self._routers.values() for one in router.wills()]

    def _interface_changed(self, name: str) -> None:
        """See to the socket of an interface, then let the routers look at it."""
        self._tracking.interface_changed(name)
        self._channels.refresh(self._interfaces[name])
        for router in self._routers.values():
            router.interface_changed(name)

    def _readings_changed(self) -> None:
        for router in self._routers.values():
            router.readings_changed()

    def _chores_started(self) -> None:
        for router in self._routers.values():
            router.replay()

    def _note(self, kind: str, sentence: str) -> None:
        self.tell(Event(kind=kind, router=None, sentence=sentence))


async def _main(descriptor: int) -> None:
    await Worker(await Line.over(socket.socket(fileno=descriptor))).run()


def main() -> None:
    """Run the worker on the socket whose descriptor is the only argument."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit("usage: python -m vrrp.worker FD   (FD: a connected stream socket)")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the supervisor, which shares our terminal
    process.signal_at_parents_death(signal.SIGTERM)
    asyncio.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
