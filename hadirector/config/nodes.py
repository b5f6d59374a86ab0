"""The parts of a YAML file, each knowing where it stands.

The problem: after validation a plain value does not know its line any more. The approach: a tree of
three small kinds that keep place and original text beside the value, through merge keys,
anchors, `include:` and inherited defaults. No parsing and no judgement here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from hadirector.config.diagnostics import (
    MESSAGE_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    Diagnostic,
    Rule,
    Severity,
)
from hadirector.config.secrets import unspoken

Value = str | int | float | bool | None


class Place(NamedTuple):
    """A position in a file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def seen_from(self, other: Place) -> str:
        """`line 7` in the same file, else `FILE:7`."""
        return f"line {self.line}" if self.file == other.file else f"{self.file}:{self.line}"


@dataclass(slots=True)
class Scalar:
    """A single value. `broken`: already reported, so nothing more is to be said about it."""

    place: Place
    text: str
    value: Value
    broken: bool = False
    quoted: bool = False
    size: ClassVar[int] = 1
    depth: ClassVar[int] = 1


@dataclass(slots=True)
class Sequence:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list)
    size: int = 1
    depth: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys with values; `keys` holds the place of each key."""

    place: Place
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)
    size: int = 1
    depth: int = 1


Node = Scalar | Sequence | Mapping


def plain(node: Node) -> object:
    """The bare value of a node, for pydantic."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(item) for key, item in node.entries.items()}


def is_broken(node: Node) -> bool:
    """Whether anything within was reported already."""
    if isinstance(node, Scalar):
        return node.broken
    items = node.items if isinstance(node, Sequence) else node.entries.values()
    return any(is_broken(item) for item in items)


def describe(node: Node) -> str:
    """What stands here, in a word or as its text."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    return f'"{shorten(node.text)}"' if node.text else "nothing"


def text_of(node: Node) -> str:
    """The offending text of a diagnostic."""
    return shorten(node.text) if isinstance(node, Scalar) else ""


def shorten(text: str, most: int = TEXT_CHARACTERS_MAX) -> str:
    """At most one line of bounded length, printable: files may hold anything."""
    line = text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)
    return line if len(line) <= most else line[:most] + "…"


class Findings:
    """Collects diagnostics; the same finding at the same place is kept once.

    (A wrong default is found again for each service that inherits it.)
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Rule, Place, str], Diagnostic] = {}
        self.reported = 0
        """How often something was reported, repetitions counted."""

    def error(
        self, rule: Rule, node: Node, *, path: str, message: str, hint: str = "", text: str = ""
    ) -> None:
        """An error at a node; its text is the offending text unless `text` says otherwise."""
        self._add(Severity.ERROR, rule, node.place, path, text or text_of(node), message, hint)

    def warning(self, rule: Rule, node: Node, *, path: str, message: str, hint: str = "") -> None:
        """A warning at a node."""
        self._add(Severity.WARNING, rule, node.place, path, text_of(node), message, hint)

    def error_at(
        self,
        rule: Rule,
        place: Place,
        *,
        message: str,
        hint: str = "",
        path: str = "",
        text: str = "",
    ) -> None:
        """An error at a place that is no node: a byte, a line that is not YAML."""
        self._add(Severity.ERROR, rule, place, path, text, message, hint)

    def _add(
        self,
        severity: Severity,
        rule: Rule,
        place: Place,
        path: str,
        text: str,
        message: str,
        hint: str,
    ) -> None:
        text, message = unspoken(path, text, message)
        diagnostic = Diagnostic(
            severity=severity,
            rule=rule,
            file=place.file,
            line=place.line,
            column=place.column,
            path=shorten(path),
            text=shorten(text),
            message=shorten(message, MESSAGE_CHARACTERS_MAX),
            hint=shorten(hint, MESSAGE_CHARACTERS_MAX),
        )
        self.reported += 1
        self._found.setdefault((rule, place, message), diagnostic)

    @property
    def failed(self) -> bool:
        """Whether there is an error among them."""
        return any(found.severity is Severity.ERROR for found in self)

    def __iter__(self) -> Iterator[Diagnostic]:
        """All findings, in the order of the files' lines within each file."""
        order = {name: index for index, name in enumerate(d.file for d in self._found.values())}
        return iter(sorted(self._found.values(), key=lambda d: (order[d.file], d.line, d.column)))
