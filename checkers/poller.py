"""Readiness of many sockets, without a handle, a future or a task for each.

The problem: an event loop's own registration of a socket costs more than the probe it is for. The
approach: one epoll of ours for all of them, which the event loop watches as if it were one socket
(epoll(7): an epoll descriptor is itself readable while events wait). Whoever has just sent
something may call `poll` at once: on a near network the answers are there already, and the event
loop then never wakes for them.

What is called back must not watch a descriptor that it has just opened: the events of one round may
still hold the descriptor's former owner's. One event loop owns it. Must never wait.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from checkers import limits

OnEvents = Callable[[int], None]
"""Called with the events (EPOLLIN and so on) of one descriptor."""

WRITABLE = select.EPOLLOUT
READABLE = select.EPOLLIN
BROKEN = select.EPOLLERR | select.EPOLLHUP
CLOSED_BY_PEER = select.EPOLLRDHUP


class Poller:
    """Calls back for descriptors that are ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop, after: Callable[[], None]) -> None:
        """`after` is called when the event loop woke up for events, all of which were told.

        Raises OSError if the kernel gives no epoll.
        """
        self._loop = loop
        self._after = after
        self._called: dict[int, OnEvents] = {}
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._wake)

    def watch(self, descriptor: int, events: int, called: OnEvents) -> None:
        """Call back while any of these events holds. Raises OSError if the kernel refuses."""
        self._epoll.register(descriptor, events)
        self._called[descriptor] = called

    def change(self, descriptor: int, events: int, called: OnEvents) -> None:
        """Watch one for something else from now on."""
        self._epoll.modify(descriptor, events)
        self._called[descriptor] = called

    def forget(self, descriptor: int) -> None:
        """Before it is closed: that takes it out of the kernel's epoll, too."""
        del self._called[descriptor]

    def poll(self) -> None:
        """Tell what is ready now."""
        called = self._called
        for descriptor, events in self._epoll.poll(0, limits.EVENTS_PER_POLL_MAX):
            told = called.get(descriptor)
            if told is not None:  # else an earlier event of this round ended it
                told(events)

    def close(self) -> None:
        """Watch nothing any more; the descriptors are their owners' to close."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._called.clear()

    def _wake(self) -> None:
        self.poll()
        self._after()
