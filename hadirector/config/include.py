"""`include:` and the joining of several files into one tree.

The problem: a pair with many services wants one file per team, and two files may both say something
about one thing. The approach: an included file has the same shape as the main one; lists and
mappings are joined, and a single value written in two files is an error (nobody can know which was
meant). Paths are relative to the including file. Depth and number of files are bounded.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from hadirector.config.diagnostics import Rule, near
from hadirector.config.explain import found
from hadirector.config.nodes import (
    Findings,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
    is_broken,
)
from hadirector.config.positions import read_yaml

FILE_BYTES_MAX = 16 * 1024 * 1024
INCLUDE_DEPTH_MAX = 8
INCLUDE_FILES_MAX = 256
NEIGHBOURS_MAX = 1000
KEY = "include"


@dataclass(slots=True)
class Files:
    """Reads a file and everything it includes; keeps the texts, for excerpts."""

    findings: Findings
    texts: dict[str, str] = field(default_factory=dict)

    def read(self, path: Path) -> Mapping | None:
        """The joined tree, without the key `include`; None where there is nothing to go on with."""
        return self._read(path, Place(str(path)), ())

    def _read(self, path: Path, asked: Place, chain: tuple[Path, ...]) -> Mapping | None:
        text = self._text(path, asked)
        if text is None:
            return None
        name = str(path)
        self.texts[name] = text
        root = read_yaml(text, name, self.findings)
        if not isinstance(root, Mapping):
            self._report_root(root, name)
            return None
        included = root.entries.pop(KEY, None)
        if included is not None:
            for node in self._names(included):
                self._include(root, node, path, (*chain, path.resolve()))
        return root

    def _report_root(self, root: Node | None, name: str) -> None:
        nothing = isinstance(root, Scalar) and root.value is None and not root.broken
        if nothing or (root is None and not self._failed(name)):
            self.findings.error_at(
                Rule.EMPTY,
                Place(name),
                message="the file is empty",
                hint="begin with nodes:, virtual_routers: and services:",
            )
        elif root is not None and not is_broken(root):
            message = f"expected a mapping, found {found(root)}"
            hint = "begin with nodes:, virtual_routers: and services:"
            self.findings.error(Rule.WRONG_TYPE, root, path="", message=message, hint=hint)

    def _failed(self, name: str) -> bool:
        return any(diagnostic.file == name for diagnostic in self.findings)

    def _names(self, node: Node) -> list[Scalar]:
        nodes = node.items if isinstance(node, Sequence) else [node]
        names = []
        for item in nodes:
            if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
                if not item.broken:
                    names.append(item)
            elif not is_broken(item):
                message = f"expected the name of a file, found {found(item)}"
                self.findings.error(Rule.WRONG_TYPE, item, path=KEY, message=message)
        return names

    def _include(self, root: Mapping, node: Scalar, parent: Path, chain: tuple[Path, ...]) -> None:
        path = parent.parent / node.text
        if len(chain) > INCLUDE_DEPTH_MAX or len(self.texts) >= INCLUDE_FILES_MAX:
            self.findings.error(
                Rule.INCLUDE_TOO_DEEP,
                node,
                path=KEY,
                message=f"more than {INCLUDE_DEPTH_MAX} levels or {INCLUDE_FILES_MAX} files",
                hint="include the file from a higher one",
            )
        elif path.resolve() in chain:
            message = f'"{node.text}" includes itself'
            if path.resolve() != chain[-1]:
                message += ", by way of " + ", ".join(step.name for step in chain[1:])
            self.findings.error(Rule.INCLUDE_CYCLE, node, path=KEY, message=message)
        else:
            other = self._read(path, node.place, chain)
            if other is not None:
                self._join(root, other, "")

    def _join(self, into: Mapping, other: Mapping, path: str) -> None:
        for name, node in other.entries.items():
            here = f"{path}.{name}" if path else name
            present = into.entries.get(name)
            if present is None:
                into.entries[name] = node
                into.keys[name] = other.keys[name]
            elif isinstance(present, Sequence) and isinstance(node, Sequence):
                # A new list: the present one may be shared through an anchor.
                into.entries[name] = Sequence(present.place, [*present.items, *node.items])
            elif isinstance(present, Mapping) and isinstance(node, Mapping):
                joined = Mapping(present.place, dict(present.entries), dict(present.keys))
                into.entries[name] = joined
                self._join(joined, node, here)
            else:
                place = present.place
                self.findings.error(
                    Rule.INCLUDE_CONFLICT,
                    node,
                    path=here,
                    message=f'"{name}" is written in two files',
                    hint=f"the other is {place.file}:{place.line}",
                )

    def _text(self, path: Path, asked: Place) -> str | None:
        """The file's text; the reason why there is none is reported where the file was named."""
        try:
            with path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            rule, message = Rule.MISSING_FILE, f"no such file: {path}"
            hint = _neighbour(path)
        except IsADirectoryError:
            rule, message = Rule.DIRECTORY, f"{path} is a directory, not a file"
            hint = "name a file in it"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            rule, message = Rule.UNREADABLE, f"cannot read {path}: {reason}"
            hint = "look at it with ls -l"
        else:
            if len(data) <= FILE_BYTES_MAX:
                return self._decode(data, str(path))
            rule, message = Rule.TOO_LARGE, f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB"
            hint = "divide it with include:"
        key = KEY if asked.file != str(path) else ""
        self.findings.error_at(rule, asked, path=key, text=str(path), message=message, hint=hint)
        return None

    def _decode(self, data: bytes, name: str) -> str | None:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8", "replace")
            place = Place(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
            byte = f"0x{data[error.start]:02x}"
            self.findings.error_at(
                Rule.NOT_UTF8,
                place,
                text=byte,
                message=f"byte {byte} is not UTF-8",
                hint="save the file as UTF-8",
            )
            return None


def _neighbour(path: Path) -> str:
    """A file beside it whose name is near."""
    try:
        beside = list(itertools.islice(path.parent.iterdir(), NEIGHBOURS_MAX))
    except OSError:
        return ""
    names = {entry.stem: entry.name for entry in beside if entry.suffix in (".yaml", ".yml")}
    found = near(path.stem, sorted(names))
    return f'did you mean "{names[found]}"?' if found is not None else ""
