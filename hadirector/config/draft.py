"""Sections validated field by field, as far as they can be.

The problem: a model that fails as a whole hides its other values, and the rules across sections
could not run before the last typing error is mended; people want all errors in one run. The
approach: each field is validated by itself against its model's annotation, and what passes goes
into a Draft, which the rules can ask for any value that is there.
Never fill in a default where something was written but is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, is_dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hadirector.config.adapter import SECONDS, STRICT
from hadirector.config.diagnostics import Rule, choices, near
from hadirector.config.explain import Bounds, Explanation, explain, found
from hadirector.config.nodes import Findings, Mapping, Node, Sequence, is_broken, plain

T = TypeVar("T")

_AT_ONCE = ConfigDict(**{**STRICT, "defer_build": False})
NOTHING: AbstractMapping[str, str] = MappingProxyType({})
NO_VALUES: AbstractMapping[str, object] = MappingProxyType({})


@dataclass(slots=True)
class FieldShape:
    """One key of a section. `kind` is what it takes, annotated as pydantic reads it."""

    kind: Any
    required: bool
    default: object
    bounds: Bounds
    _validate: Callable[[object], object] | None = None

    def validate(self, value: object) -> object:
        """The value as the program uses it. Raises ValidationError."""
        if self._validate is None:  # of hundreds of keys, a file has a few
            config = None if _has_own(self.kind) else _AT_ONCE
            self._validate = TypeAdapter(self.kind, config=config).validator.validate_python
        return self._validate(value)


@dataclass(slots=True)
class Draft:
    """One section of the file: the values that hold, and where they came from.

    `paths` names the fields that were written elsewhere: inherited from a default. `inherited` has
    what holds for fields that are not written: one mapping for many sections that are alike.
    """

    node: Node
    path: str
    values: dict[str, object] = field(default_factory=dict)
    paths: AbstractMapping[str, str] = field(default_factory=lambda: NOTHING)
    inherited: AbstractMapping[str, object] = field(default_factory=lambda: NO_VALUES)

    def get(self, name: str, kind: type[T]) -> T | None:
        """A field's value; None if it is absent or wrong.

        Asked some thirty times for each server of a file, hence without `_writes`.
        """
        value = self.values.get(name)
        if value is None:
            value = self.inherited.get(name)
            node = self.node
            if value is not None and isinstance(node, Mapping) and name in node.entries:
                return None
        return value if isinstance(value, kind) else None

    def _writes(self, name: str) -> bool:
        return isinstance(self.node, Mapping) and name in self.node.entries

    def at(self, name: str) -> Node:
        """Where a field is written; where it is not, the section itself."""
        if isinstance(self.node, Mapping):
            return self.node.entries.get(name, self.node)
        return self.node

    def path_of(self, name: str) -> str:
        """The path of a field; of the section itself where the field is not written."""
        if self._writes(name):
            return self.paths.get(name) or (f"{self.path}.{name}" if self.path else name)
        return self.path


@cache
def fields_of(shape: type[BaseModel]) -> AbstractMapping[str, FieldShape]:
    """The keys of a section and what they take."""
    result = {}
    for name, info in shape.model_fields.items():
        kind: Any = info.annotation
        for item in info.metadata:
            kind = Annotated[kind, item]
        low = next((item.ge for item in info.metadata if isinstance(item, Ge)), None)
        high = next((item.le for item in info.metadata if isinstance(item, Le)), None)
        result[name] = FieldShape(
            kind,
            info.is_required(),
            None if info.is_required() else info.default,
            Bounds(low, high, is_duration=SECONDS in info.metadata),
        )
    return result


@cache
def defaults_of(shape: type[BaseModel]) -> AbstractMapping[str, object]:
    """What the keys of a section have that need not be written."""
    known = fields_of(shape).items()
    return {name: item.default for name, item in known if not item.required}


@cache
def _required_of(shape: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name, item in fields_of(shape).items() if item.required)


def _has_own(kind: Any) -> bool:
    """Pydantic takes no configuration for types that could have their own."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return is_dataclass(bare) or (isinstance(bare, type) and issubclass(bare, BaseModel))


def check_fields(
    draft: Draft,
    shape: type[BaseModel],
    findings: Findings,
    *,
    sections: frozenset[str] = frozenset(),
    inherited: AbstractMapping[str, object] | None = None,
) -> bool:
    """Validate the keys of a section into `draft.values`; False if it is no mapping at all.

    `sections` are keys that the caller validates, since they hold sections of their own. Keys that
    are not written have their defaults among the values; where the caller gives `inherited`, these
    hold instead, and are shared rather than copied.
    """
    if not isinstance(draft.node, Mapping):
        if not is_broken(draft.node):
            message = f"expected a mapping, found {found(draft.node)}"
            findings.error(Rule.WRONG_TYPE, draft.node, path=draft.path, message=message)
        return False
    known, written = fields_of(shape), draft.node.entries
    check_keys(draft.node, draft.path, known, findings)
    if inherited is not None:
        draft.inherited = inherited
    else:
        draft.values |= {
            name: value for name, value in defaults_of(shape).items() if name not in written
        }
    for name in _required_of(shape):
        if name not in written and not _is_misspelt(name, draft.node, known):
            _report_missing(draft, name, findings)
    for name, node in written.items():
        if name in known and name not in sections:
            check_field(draft, name, node, known[name], findings)
    return True


def check_keys(
    node: Mapping,
    path: str,
    known: AbstractMapping[str, object],
    findings: Findings,
    *,
    elsewhere: AbstractMapping[str, str] = NOTHING,
) -> None:
    """Report every key that is not known; `elsewhere` has hints for keys known in other places."""
    for name in node.entries:
        if name not in known:
            findings.error(
                Rule.UNKNOWN_KEY,
                node.keys[name],
                path=f"{path}.{name}" if path else name,
                message=f'unknown key "{name}"',
                hint=elsewhere.get(name) or choices(name, known),
            )


def _is_misspelt(name: str, node: Mapping, known: AbstractMapping[str, object]) -> bool:
    """Whether an unknown key, reported already, is this one with a slip of the pen."""
    return any(key not in known and near(key, known) == name for key in node.entries)


def _report_missing(draft: Draft, name: str, findings: Findings) -> None:
    findings.error(
        Rule.MISSING_KEY, draft.node, path=draft.path, message=f'"{name}" is missing', text=name
    )


def check_field(draft: Draft, name: str, node: Node, shape: FieldShape, findings: Findings) -> None:
    """Validate one field, written at `node`, into `draft.values`."""
    if is_broken(node):
        return
    try:
        draft.values[name] = shape.validate(plain(node))
    except ValidationError as error:
        for place, path, finding in _explained(error, node, shape.bounds):
            findings.error(
                finding.rule,
                place,
                path=draft.path_of(name) + path,
                message=finding.message,
                hint=finding.hint,
            )


def _explained(
    error: ValidationError, node: Node, bounds: Bounds
) -> list[tuple[Node, str, Explanation]]:
    details = error.errors(include_url=False)
    if len(details) > 1:  # a list is not too short because its items are wrong
        details = [detail for detail in details if detail["type"] != "too_short"] or details
    if _is_union(details, node):
        message = f"{found(node)} is not what is meant here"
        return [(node, "", Explanation(Rule.WRONG_TYPE, message))]
    result = []
    for detail in details:
        place, path = _follow(node, detail)
        finding = explain(detail, place, bounds)
        name, colon, sentence = finding.message.partition(": ")
        if colon and isinstance(place, Mapping) and name in place.entries:
            place, path = place.entries[name], f"{path}.{name}"
            finding = replace(finding, message=sentence)
        result.append((place, path, finding))
    return result


def _is_union(details: list[ErrorDetails], node: Node) -> bool:
    """Whether pydantic tried several types: then it names each in the location."""
    keys = node.entries if isinstance(node, Mapping) else ()
    steps = [step for detail in details for step in detail["loc"][:1] if step not in keys]
    return any(isinstance(step, str) and step[:1].islower() for step in steps)


def _follow(node: Node, detail: ErrorDetails) -> tuple[Node, str]:
    """The innermost node that pydantic's location leads to, and the path to it."""
    path = ""
    for step in detail["loc"]:
        if isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
            path += f"[{step}]"
        elif isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)]
            path += f".{step}"
        else:
            break
    return node, path
