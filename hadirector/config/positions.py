"""YAML with positions: every value knows its line, its column and how it was written.

The problem: PyYAML's usual objects have lost their place, let a duplicate key win silently, and
let a few lines of nested aliases grow into gigabytes. The approach: libyaml's event stream (fast,
and not recursive) is built into `nodes` with an explicit stack; depth and expanded size are bounded
on the way. Everything found is reported with its path, and reading goes on as far as YAML allows.
Never execute a tag, and never decide which of two duplicate keys was meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import yaml

from hadirector.config.diagnostics import Rule
from hadirector.config.nodes import Findings, Mapping, Node, Place, Scalar, Sequence, describe
from hadirector.config.scalars import Trap, resolve

DEPTH_MAX = 32
EXPANDED_NODES_MAX = 2_000_000

_MERGE = "<<"
_DEEPER_THAN_WE_READ = f"nested deeper than {DEPTH_MAX} levels"
_DEEPER_THAN_YAML_READS = "exceeded maximum nesting depth"
"""Newer ones of libyaml look so far ahead that they give up before we do."""
_BETTER_AT_START = {"found unexpected end of stream"}
_READABLE = {
    "mapping values are not allowed in this context": (
        'a ":" where none can be',
        "quote the text that contains it, or mend the indentation above",
    ),
    "did not find expected key": (
        "the indentation fits nothing above",
        "begin it in the column of its neighbours; look for an open quote or bracket above",
    ),
    "could not find expected ':'": ('a key without ":"', 'write "key: value"'),
    "did not find expected '-' indicator": (
        "a line among list items that does not begin with a dash",
        'write "- " before it, or mend its indentation',
    ),
    "did not find expected ',' or '}'": ("a { that is not closed", 'write "," or "}" before this'),
    "did not find expected ',' or ']'": ("a [ that is not closed", 'write "," or "]" before this'),
    "did not find expected <document start>": (
        "text after the end of the document",
        "mend the indentation of this line",
    ),
    "found unexpected end of stream": ("a quote that is not closed", "close it"),
}


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been seen yet."""

    node: Sequence | Mapping
    key: Scalar | None = None
    awaits_value: bool = False
    merge_key: Scalar | None = None
    merge_value: Node | None = None


_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML 1.1 counts as one (section 5.4)."""


class _Abandon(Exception):  # noqa: N818 - not an error: the reason has been reported
    """Reading cannot go on."""


def read_yaml(text: str, file: str, findings: Findings) -> Node | None:
    """The tree of a YAML document; None where the text is empty or cannot be read on."""
    builder = _Builder(file, findings)
    try:
        next_event = yaml.CSafeLoader(text).get_event
        while (event := next_event()) is not None:
            builder.take(event)
    except _Abandon:
        return None
    except yaml.MarkedYAMLError as error:
        _report_syntax(error, text, file, findings)
        return None
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        code = error.character if isinstance(error.character, int) else ord(error.character[:1])
        message = f"a character that YAML forbids: U+{code:04X}"
        findings.error_at(Rule.SYNTAX, place, message=message, hint="remove it")
        return None
    return builder.root


def _report_syntax(error: yaml.MarkedYAMLError, text: str, file: str, findings: Findings) -> None:
    problem = str(error.problem)
    mark = error.problem_mark
    if mark is None or problem in _BETTER_AT_START:
        mark = error.context_mark or mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
    lines = _LINE_END.split(text)
    if place.line > len(lines):  # libyaml: the end of a text without a line end is a line further
        place = Place(file, len(lines), len(lines[-1]) + 1)
    line = lines[place.line - 1]
    message, hint = _READABLE.get(problem, (f"not YAML: {problem}", ""))
    if problem == _DEEPER_THAN_YAML_READS:
        findings.error_at(Rule.TOO_DEEP, place, message=_DEEPER_THAN_WE_READ, hint="")
        return
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message, hint = "a tab indents this line", "YAML indents with spaces only"
    findings.error_at(Rule.SYNTAX, place, text=line.strip()[:80], message=message, hint=hint)


class _Builder:
    """Turns events into nodes; one method per kind of event."""

    def __init__(self, file: str, findings: Findings) -> None:
        self.root: Node | None = None
        self._file = file
        self._findings = findings
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """One event of the stream; raises _Abandon where it makes no sense to go on.

        The commonest come first: a large file is half a million events.
        """
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), event.anchor)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, Mapping(self._place(event)))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, Sequence(self._place(event)))
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse(
                    Rule.SEVERAL_DOCUMENTS,
                    self._place(event),
                    "a second document begins here",
                    'remove the "---"; use include: for several files',
                )

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None  # libyaml marks every event
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _refuse(self, rule: Rule, place: Place, message: str, hint: str) -> None:
        self._findings.error_at(rule, place, path=self._path(), message=message, hint=hint)
        raise _Abandon

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        scalar = Scalar(self._place(event), event.value, event.value)
        if event.tag is not None:
            self._tag(event, scalar)
        elif event.style:
            scalar.quoted = True
        elif isinstance(value := resolve(scalar.text), Trap):
            scalar.broken = True
            self._findings.error(
                value.rule, scalar, path=self._path(), message=value.message, hint=value.hint
            )
        else:
            scalar.value = value
            if isinstance(value, str):
                scalar.text = value  # of words that come again and again, one text is kept
        return scalar

    def _tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, node: Node) -> None:
        if isinstance(node, Scalar):
            node.broken = True
        self._findings.error(
            Rule.YAML_TAG,
            node,
            path=self._path(),
            text=str(event.tag),
            message=f"YAML tag {event.tag} is not used here",
            hint="remove it",
        )

    def _open(self, event: yaml.CollectionStartEvent, node: Sequence | Mapping) -> None:
        if event.tag is not None:
            self._tag(event, node)
        if len(self._stack) >= DEPTH_MAX:
            self._refuse(Rule.TOO_DEEP, node.place, _DEEPER_THAN_WE_READ, "")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._stack.append(_Open(node))

    def _alias(self, event: yaml.AliasEvent) -> None:
        place, name = self._place(event), str(event.anchor)
        node = self._anchors.get(name)
        broken = Scalar(place, f"*{name}", None, broken=True)
        if node is None:
            self._findings.error(
                Rule.UNKNOWN_ANCHOR,
                broken,
                path=self._path(),
                message=f"no anchor &{name} stands before this alias",
            )
            node = broken
        elif any(frame.node is node for frame in self._stack):
            self._findings.error(
                Rule.ALIAS_CYCLE,
                broken,
                path=self._path(),
                message=f"alias *{name} stands inside its own anchor",
            )
            node = broken
        self._add(node, None, place)

    def _add(self, node: Node, anchor: str | None, place: Place | None = None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        parent = frame.node
        parent.size += node.size
        if parent.depth <= node.depth:
            parent.depth = node.depth + 1
        if parent.size > EXPANDED_NODES_MAX or len(self._stack) + node.depth > DEPTH_MAX + 1:
            self._refuse(
                Rule.ALIAS_BOMB,
                place or node.place,
                f"aliases grow beyond {EXPANDED_NODES_MAX} values or {DEPTH_MAX} levels",
                "write the list once and refer to it less often",
            )
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif frame.awaits_value:
            self._entry(frame, parent, node)
        else:
            self._key(frame, node)

    def _key(self, frame: _Open, node: Node) -> None:
        frame.awaits_value = True
        frame.key = node if isinstance(node, Scalar) and isinstance(node.value, str) else None
        if frame.key is None and not (isinstance(node, Scalar) and node.broken):
            found = describe(node).replace('"', "")
            self._findings.error(
                Rule.KEY_NOT_TEXT,
                node,
                path=self._path(),
                message=f"a key is text, not {found}",
                hint=f'write "{node.text}"' if isinstance(node, Scalar) and node.text else "",
            )
        elif frame.key is not None and frame.key.broken:
            frame.key = None

    def _entry(self, frame: _Open, parent: Mapping, value: Node) -> None:
        key, frame.key, frame.awaits_value = frame.key, None, False
        if key is None:
            return
        merges = key.text == _MERGE and not key.quoted
        earlier = frame.merge_key if merges else parent.keys.get(key.text)
        if earlier is not None:
            self._findings.error(
                Rule.DUPLICATE_KEY,
                key,
                path=self._join(len(self._stack), key.text),
                message=f'key "{key.text}" is here twice',
                hint=f"the first is in line {earlier.place.line}",
            )
            return
        if merges:
            frame.merge_key, frame.merge_value = key, value
        else:
            parent.keys[key.text] = key
            parent.entries[key.text] = value

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.node, Mapping) and frame.merge_key and frame.merge_value:
            self._merge(frame.node, frame.merge_key, frame.merge_value)
        node = frame.node
        # The anchor, if any, was noted at the start, so that a cycle is seen.
        self._add(node, None)

    def _merge(self, node: Mapping, key: Scalar, value: Node) -> None:
        """`<<: *other`: the other's keys that are not here yet (YAML 1.1 type repository)."""
        sources = value.items if isinstance(value, Sequence) else [value]
        for source in sources:
            if isinstance(source, Mapping):
                for name, item in source.entries.items():
                    if name not in node.entries:
                        node.entries[name] = item
                        node.keys[name] = source.keys[name]
            elif not (isinstance(source, Scalar) and source.broken):
                self._findings.error(
                    Rule.MERGE_KEY,
                    key,
                    path=self._path(),
                    message=f'"<<" takes a mapping, not {describe(source)}',
                    hint="write <<: *name",
                )

    def _path(self) -> str:
        return self._join(len(self._stack), "")

    def _join(self, depth: int, last: str) -> str:
        """The path of the value being read, such as `services[0].check.interval`."""
        path = ""
        for frame in self._stack[:depth]:
            if isinstance(frame.node, Sequence):
                path += f"[{len(frame.node.items)}]"
            elif frame.key is not None:
                path += f".{frame.key.text}" if path else frame.key.text
        if last:
            path += f".{last}" if path else last
        return path
