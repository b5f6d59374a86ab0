"""What two directors tell each other: one JSON object a line, typed, bounded, numbered.

The problem: what comes over the channel is from another host, perhaps of another version, perhaps
made up. The approach: frozen dataclasses, read as their type hints say and not otherwise. Each
connection begins with a `Hello` of both sides; whatever follows carries a number that grows by one
and the nonce that its receiver has just made up (`to`), so that nothing which was said
on another connection, or before, can be said again. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, cast

from vrrp.typed_json import MessageError as MessageError
from vrrp.typed_json import read_dataclass, read_line, write_line

PROTOCOL: Final = 1
"""Grows when an older director would misunderstand; those of another number do not talk."""
LINE_BYTES_MAX: Final = 1024 * 1024
"""Thousands of virtual routers fit in."""
SERVERS_TOLD_MAX: Final = 500
"""Of those that are not up; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first line of each side. `pair` is made of both directors' names and addresses."""

    protocol: int
    software: str
    pair: str
    node: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterState:
    """One virtual router as the sender's VRRP worker reports it."""

    state: str
    priority: int
    configured: int
    """The priority without trackers and what the pair agreed."""
    weighed: int
    """With trackers, and without what the pair agreed."""
    hears: str
    """The address of the active router that it hears; empty: none."""
    holds: bool
    """Whether all of its addresses are on the interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """What the sender's checks say. `not_up` has the state of those that are not, to a bound."""

    up: int
    down: int
    unknown: int
    not_up: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """Connection sync at the sender. `connections`: the active ones of its table; -1: unknown."""

    duty: str = ""
    daemons: tuple[str, ...] = ()
    connections: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How the sender is. Told when it changes, and every second."""

    digest: str
    ready: bool
    paused: bool
    software: str
    routers: dict[str, RouterState]
    health: HealthState
    sync: SyncState
    trouble: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The sender wants something done; an `Answer` with the same number follows."""

    number: int
    verb: str
    text: str = ""
    routers: dict[str, int] = field(default_factory=dict)
    """By virtual router, the priority that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of an `Ask`."""

    number: int
    done: bool
    sentence: str
    notes: tuple[str, ...] = ()
    facts: dict[str, float] = field(default_factory=dict)
    """What was measured, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye:
    """The sender stops, in good order."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """How a line after the first begins: its number, and the receiver's nonce."""

    seq: int
    to: str


Body = State | Ask | Answer | Bye
_KINDS: Final = MappingProxyType({"state": State, "ask": Ask, "answer": Answer, "bye": Bye})
_NAMES: Final = MappingProxyType({kind: name for name, kind in _KINDS.items()})


def encode_hello(hello: Hello) -> bytes:
    """Return the first line."""
    return write_line(hello, type="hello")


def decode_hello(line: bytes) -> Hello:
    """Return the Hello of a line. Raises MessageError."""
    document = read_line(line)
    if document.pop("type", None) != "hello":
        raise MessageError("the first line is no hello")
    if document.get("protocol") != PROTOCOL:  # of another version, the rest may look otherwise
        number, software = document.get("protocol"), document.get("software")
        document = {
            "protocol": number if type(number) is int else -1,
            "software": software if isinstance(software, str) else "?",
            **dict.fromkeys(("pair", "node", "nonce"), ""),
        }
    return cast("Hello", read_dataclass(Hello, document, "hello"))


def encode(body: Body, *, seq: int, to: str) -> bytes:
    """Return a line after the first one."""
    return write_line(body, type=_NAMES[type(body)], seq=seq, to=to)


def decode(line: bytes) -> tuple[Numbered, Body]:
    """Return what a line after the first says. Raises MessageError."""
    document = read_line(line)
    name = document.pop("type", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MessageError(f"type: {str(name)[:40]!r} is none of {', '.join(_KINDS)}")
    head = {key: document.pop(key) for key in ("seq", "to") if key in document}
    numbered = cast("Numbered", read_dataclass(Numbered, head, str(name)))
    return numbered, cast("Body", read_dataclass(kind, document, str(name)))
