"""Two or more directors on a virtual clock: groups joined by a wire that can be cut and delayed.

The whole time of the story is computed, not waited for. Each node owns a Group; `run` always
takes the earliest thing that is due, a packet or a deadline, and writes down who held what when.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from vrrp.config import RouterSettings
from vrrp.events import (
    Announce,
    Changed,
    Down,
    Effect,
    HandOver,
    Heard,
    Release,
    Rival,
    Send,
    State,
    Take,
    Up,
)
from vrrp.group import Group
from vrrp.packet import Advertisement, decode, encode


@dataclass
class Node:
    """A director: its group, and what it would have on its interfaces."""

    name: str
    group: Group
    sources: dict[str, IPv4Address]
    alive: bool = True
    frozen: bool = False
    unread: list[tuple[str, Heard]] = field(default_factory=list)
    """What arrived while the process was frozen; sockets keep it."""
    held: set[str] = field(default_factory=set)
    history: list[tuple[float, str, State, str]] = field(default_factory=list)
    announced: dict[str, float] = field(default_factory=dict)
    """When it told its neighbors last where the addresses of a virtual router are."""
    rivals: list[Rival] = field(default_factory=list)


class FakeNetwork:
    """Nodes, the wires between their virtual routers of the same name, and the time."""

    def __init__(self, delay_s: float = 0.0005) -> None:
        self.now = 0.0
        self.delay_s = delay_s
        self.nodes: dict[str, Node] = {}
        self.cut: set[str] = set()
        """Names of virtual routers whose wire is cut."""
        self.both_held_s = 0.0
        """For how long any address was held twice."""
        self._flying: list[tuple[float, int, str, str, bytes, IPv4Address]] = []
        self._order = itertools.count()

    def add(self, name: str, last_octet: int, *routers: RouterSettings) -> Node:
        """Add a node and switch it on."""
        group = Group("web")
        for settings in routers:
            group.add(settings)
        sources = {
            settings.name: IPv4Address(f"192.0.{number}.{last_octet}")
            for number, settings in enumerate(routers)
        }
        node = self.nodes[name] = Node(name, group, sources)
        for router, source in sources.items():
            self._do(node, group.handle(router, Up(source), self.now))
        return node

    def link(self, name: str, router: str, *, up: bool) -> None:
        """Plug or unplug an interface, as its host sees it."""
        node = self.nodes[name]
        event = Up(node.sources[router]) if up else Down(f"{router} has no carrier")
        self._do(node, node.group.handle(router, event, self.now))

    def stop(self, name: str) -> None:
        """Stop a node in good order."""
        node = self.nodes[name]
        self._do(node, node.group.stop("stopped by hand", self.now))
        node.alive = False

    def promote(self, name: str) -> None:
        """Have a node become active without waiting."""
        node = self.nodes[name]
        self._do(node, node.group.promote("by hand", self.now))

    def bar(self, name: str, sentence: str) -> None:
        """Keep a node from being active; empty: let it be."""
        node = self.nodes[name]
        self._do(node, node.group.bar(sentence, self.now))

    def peer_yielded(self, name: str) -> None:
        """Tell a node that an active peer that it does not hear has stepped back."""
        node = self.nodes[name]
        self._do(node, node.group.peer_yielded("the other one says so", self.now))

    def thaw(self, name: str) -> None:
        """Let a frozen node go on; it reads its sockets before it looks at its timers."""
        node = self.nodes[name]
        node.frozen = False
        self._read(node)

    def active(self) -> list[str]:
        """The nodes that hold all their addresses."""
        return [
            node.name
            for node in self.nodes.values()
            if node.alive and node.held == set(node.sources)
        ]

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            node, at = self._next_deadline()
            if self._flying and self._flying[0][0] <= at:
                at = self._flying[0][0]
                if at > until:
                    break
                self._pass_time(at)
                self._deliver()
            elif node is None or at > until:
                break
            else:
                self._pass_time(at)
                self._do(node, node.group.tick(self.now))
        self._pass_time(until)

    def _next_deadline(self) -> tuple[Node | None, float]:
        due: list[tuple[float, Node]] = [
            (max(at, self.now), node)
            for node in self.nodes.values()
            if node.alive and not node.frozen and (at := node.group.next_deadline()) is not None
        ]
        if not due:
            return None, float("inf")
        at, node = min(due, key=lambda pair: pair[0])
        return node, at

    def _pass_time(self, to: float) -> None:
        if len([node for node in self.nodes.values() if node.alive and node.held]) > 1:
            self.both_held_s += to - self.now
        self.now = to

    def _deliver(self) -> None:
        _, _, sender, router, payload, source = heapq.heappop(self._flying)
        advertisement, form = decode(payload, source)
        for node in self.nodes.values():
            if node.name != sender and node.alive and router in node.sources:
                node.unread.append((router, Heard(advertisement, source, form)))
                self._read(node)

    def _read(self, node: Node) -> None:
        while node.unread and not node.frozen:
            router, heard = node.unread.pop(0)
            self._do(node, node.group.handle(router, heard, self.now))

    def _do(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(router, advertisement, form):
                    payload = encode(advertisement, node.sources[router], form=form)
                    self._transmit(node, router, payload)
                case Take(router):
                    node.held.add(router)
                case Release(router):
                    node.held.discard(router)
                case Announce(router):
                    node.announced[router] = self.now
                case Rival():
                    node.rivals.append(effect)
                case HandOver(router):
                    goodbye: Advertisement = node.group.members[router].goodbye()
                    self._transmit(node, router, encode(goodbye, node.sources[router]))
                    node.held.discard(router)
                case Changed(router, _, new, reason):
                    node.history.append((self.now, router, new, reason))
                case _:
                    pass

    def _transmit(self, node: Node, router: str, payload: bytes) -> None:
        if router not in self.cut:
            flight = (self.now + self.delay_s, next(self._order), node.name, router, payload)
            heapq.heappush(self._flying, (*flight, node.sources[router]))
