"""A check's options through the layers: defaults, service, server.

The problem: a server's check is spread over up to three places, and an inherited option may belong
to another kind of check. The approach: the layers are laid over each other key by key, each value
keeping the place where it was written; the kind is the innermost `type`; inherited options that
this kind does not have are left out, while a key that a layer itself writes must fit the kind it
has there. No check is made or run here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from checkers.base import OptionError
from checkers.registry import KINDS, trouble
from checkers.secret import unusable_secrets
from checkers.timing import Timing
from hadirector.config.check_shape import CHECK_ITEM, KIND_DEFAULT, check_shape
from hadirector.config.diagnostics import Rule, choices
from hadirector.config.draft import NOTHING, Draft, check_fields, check_keys, fields_of
from hadirector.config.durations import format_duration
from hadirector.config.explain import found
from hadirector.config.model import HealthCheck
from hadirector.config.nodes import Findings, Mapping, Node, Place, Scalar, is_broken

T = TypeVar("T")

_TYPE = "type"
_OPEN = "?"
_UNKNOWN = ""
_COMMON = dict.fromkeys((*(item.name for item in fields(Timing)), _TYPE, *CHECK_ITEM))
"""Keys of every kind."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One place where a check is written."""

    node: Mapping
    path: str
    kind: str
    """The kind in effect here; OPEN where none is written yet, UNKNOWN where none exists."""


def default_layer(node: Node | None, path: str, findings: Findings) -> tuple[Layer, ...]:
    """The outermost layer, which may leave the kind to those inside; its values are checked."""
    layers = _add_layer((), node, path, kind=_OPEN, findings=findings)
    for layer in layers:
        for kind in [layer.kind] if layer.kind in KINDS else _kinds_for(layer.node):
            # How they go together is checked where they are used: a service may change one.
            check_fields(_lay_over(layers, kind, layer.node.place), check_shape(kind), findings)
    return layers


def _kinds_for(node: Mapping) -> list[str]:
    """Kinds that have all of these keys between them.

    One for each key is enough, since an option has one type in all kinds that have it (a test holds
    this); and each costs the making of a model.
    """
    kinds = [KIND_DEFAULT]
    for name in node.entries:
        if not any(name in _known(kind) for kind in kinds):
            kinds += [kind for kind in KINDS if name in _known(kind)][:1]
    return kinds


def add_layer(
    outer: tuple[Layer, ...], node: Node | None, path: str, findings: Findings
) -> tuple[Layer, ...]:
    """The layers with one more inside, its keys checked; as they were if none is written."""
    return _add_layer(outer, node, path, kind=_kind_inside(outer), findings=findings)


def _kind_inside(outer: tuple[Layer, ...]) -> str:
    kind = outer[-1].kind if outer else _OPEN
    return KIND_DEFAULT if kind == _OPEN else kind


def _add_layer(
    outer: tuple[Layer, ...], node: Node | None, path: str, *, kind: str, findings: Findings
) -> tuple[Layer, ...]:
    if node is None:
        return outer
    if not isinstance(node, Mapping):
        if not is_broken(node):
            message = f"expected a mapping, found {found(node)}"
            hint = "write {type: http, path: /healthz}"
            findings.error(Rule.WRONG_TYPE, node, path=path, message=message, hint=hint)
        return outer
    if _TYPE in node.entries:
        kind = _written_kind(node, path, findings)
    known = _COMMON if node.entries.keys() <= _COMMON.keys() else _known(kind)
    # Who else has a key is asked only where one is not known: it costs the import of all kinds.
    elsewhere = _elsewhere(kind) if node.entries.keys() - known.keys() else NOTHING
    check_keys(node, path, known, findings, elsewhere=elsewhere)
    return (*outer, Layer(node, path, kind))


def _written_kind(node: Mapping, path: str, findings: Findings) -> str:
    written = node.entries[_TYPE]
    if isinstance(written, Scalar) and written.value in KINDS:
        return str(written.value)
    if not is_broken(written):
        word = written.text if isinstance(written, Scalar) else ""
        unusable = trouble(word)
        findings.error(
            Rule.UNKNOWN_CHECK,
            written,
            path=f"{path}.{_TYPE}",
            message=unusable or f'unknown kind of check "{word}"',
            hint=choices(word, KINDS) if unusable is None else "",
        )
    return _UNKNOWN


@cache
def _known(kind: str) -> dict[str, None]:
    """The keys of a kind; of all kinds where it is not known which."""
    kinds = [kind] if kind in KINDS else list(KINDS)
    options = [
        item.name
        for one in kinds
        for item in fields(KINDS[one])
        if item.name not in KINDS[one].lacks
    ]
    return {**_COMMON, **dict.fromkeys(options)}


@cache
def _elsewhere(kind: str) -> dict[str, str]:
    """For each key that a kind has not, why not."""
    return {**_owners(), **(KINDS[kind].lacks if kind in KINDS else {})}


@cache
def _owners() -> dict[str, str]:
    """For each key, the first kind that has it: what a misplaced key probably meant."""
    owners: dict[str, str] = {}
    for kind in KINDS:
        for name in _known(kind):
            owners.setdefault(name, f'it belongs to checks of "type: {kind}"')
    return owners


def resolve(layers: tuple[Layer, ...], place: Place, findings: Findings) -> HealthCheck | None:
    """The check that the layers make; None if something in it is wrong."""
    kind = _kind_inside(layers)
    if kind == _UNKNOWN:
        return None
    before = findings.reported
    draft = _lay_over(layers, kind, place)
    check_fields(draft, check_shape(kind), findings)
    _compare_timing(draft, findings)
    options = construct(draft, KINDS[kind], findings)
    if options is not None:
        for problem in (*options.problems_here(), *unusable_secrets(options)):
            name, message = problem.field, str(problem)
            findings.error(
                Rule.BAD_VALUE, draft.at(name), path=draft.path_of(name), message=message
            )
    # A value that was reported while reading (`no`, `1:20`) is absent without a new report.
    complete = fields_of(check_shape(kind)).keys() <= draft.values.keys()
    if findings.reported > before or options is None or not complete:
        return None
    return HealthCheck(
        kind=kind,
        options=options,
        timing=Timing(**_timing(draft)),
        label=draft.get("label", str) or "",
        advisory=draft.get("advisory", bool) or False,
    )


def _timing(draft: Draft) -> dict[str, Any]:
    return {item.name: draft.values[item.name] for item in fields(Timing)}


def _lay_over(layers: tuple[Layer, ...], kind: str, place: Place) -> Draft:
    merged = Mapping(layers[-1].node.place if layers else place)
    paths: dict[str, str] = {}
    known = _known(kind)
    for layer in layers:
        for name, node in layer.node.entries.items():
            if name in known:
                merged.entries[name] = node
                merged.keys[name] = layer.node.keys[name]
                paths[name] = f"{layer.path}.{name}"
    return Draft(merged, layers[-1].path if layers else "", paths=paths)


def _compare_timing(draft: Draft, findings: Findings) -> None:
    interval, timeout = draft.get("interval", float), draft.get("timeout", float)
    for name in ("interval", "fast_interval", "down_interval"):
        each = draft.get(name, float)
        if each is None or timeout is None or timeout <= each:
            continue
        # The inner one of the two is the one to change, where it can be told.
        written = "timeout" if name == "interval" and _is_written(draft, "timeout") else name
        findings.error(
            Rule.TIMEOUT_ABOVE_INTERVAL,
            draft.at(written),
            path=draft.path_of(written),
            message=f"the timeout of {format_duration(timeout)} is above the "
            f"{name.replace('_', ' ')} of {format_duration(each)}",
            hint="two probes of one check never run at once",
        )
    fast = draft.get("fast_interval", float)
    if fast is not None and interval is not None and fast > interval:
        findings.error(
            Rule.BAD_VALUE,
            draft.at("fast_interval"),
            path=draft.path_of("fast_interval"),
            message=f"{format_duration(fast)} is no faster than the interval of "
            f"{format_duration(interval)}",
        )


def _is_written(draft: Draft, name: str) -> bool:
    return draft.at(name) is not draft.node


def construct(draft: Draft, kind: type[T], findings: Findings) -> T | None:
    """An instance of a library's dataclass; what its constructor refuses is reported by field.

    The refused field is left out and the rest tried again, so that each of several is reported.
    What is missing then may be so for that reason, and is no news. One that is, is in the path.
    """
    assert is_dataclass(kind)
    names = {item.name for item in fields(kind)}
    values = {name: value for name, value in draft.values.items() if name in names}
    refused: set[str] = set()
    while True:
        try:
            made = kind(**values)
        except TypeError:
            return None  # a required field is missing; reported
        except ValueError as error:
            name, sentence = _blame(error, values)
            path = draft.path_of(name)
            missing = bool(name) and path == draft.path
            if name in refused or (refused and missing):
                return None
            refused.add(name)
            if missing:
                path += f".{name}"
            findings.error(Rule.BAD_VALUE, draft.at(name), path=path, message=sentence)
            if values.pop(name, None) is None:
                return None
        else:
            return None if refused else made


def _blame(error: ValueError, values: dict[str, object]) -> tuple[str, str]:
    """The field at fault and the sentence, for the two ways in which the libraries say it."""
    if isinstance(error, OptionError):
        return error.field, str(error)
    name, colon, sentence = str(error).partition(": ")
    return (name, sentence) if colon and name in values else ("", str(error))
