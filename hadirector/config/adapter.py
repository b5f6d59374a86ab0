"""Plain dataclasses with annotated bounds become pydantic models.

The problem: `vrrp` and `checkers` own the options of their sections but must not import pydantic.
The approach: their dataclasses carry `annotated_types` bounds, `Unit("s")` and `doc()`; this
adapter translates the annotations, so that one declaration serves the library, the validation, the
JSON Schema and the reference page. Nothing about any particular dataclass belongs here.

Values are strict: text is never taken for a number or the other way round.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, Any, cast

from annotated_types import DocInfo, Unit
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    create_model,
)
from pydantic.json_schema import WithJsonSchema

from hadirector.config.addresses import AddressError
from hadirector.config.diagnostics import Rule, UnfitError, choices
from hadirector.config.durations import (
    PATTERN,
    DurationError,
    format_duration,
    parse_duration,
)

STRICT = ConfigDict(
    strict=True,
    extra="forbid",
    arbitrary_types_allowed=True,
    defer_build=True,  # most of the models are only asked what fields they have
)

_ADDRESS_KINDS = (IPv4Address, IPv4Interface, IPv6Address, IPv6Interface)
_EXAMPLES: dict[type, str] = {
    IPv4Address: "192.0.2.1",
    IPv4Interface: "192.0.2.100/24",
    IPv6Address: "2001:db8::1",
    IPv6Interface: "2001:db8::1/64",
}
SECONDS = Unit("s")


def duration(value: object) -> float:
    """Seconds; a validator for pydantic."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DurationError("a duration is expected here", "write a number and a unit, such as 2s")
    return parse_duration(str(value))


DURATION = (
    SECONDS,
    BeforeValidator(duration),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
)
"""Annotations of a duration, for models written by hand."""


def model_from(
    *sources: type,
    name: str,
    partial: bool = False,
    without: Container[str] = (),
    **more: tuple[object, object],
) -> type[BaseModel]:
    """A pydantic model with the fields of these dataclasses; `partial`: none is required.

    `without` are fields to leave out, `more` further ones, as create_model takes them.
    """
    definitions: dict[str, Any] = dict(more)
    for source in sources:
        hints = typing.get_type_hints(source, include_extras=True)
        for item in fields(source):
            if item.name in without:
                continue
            default: object = item.default
            if default is MISSING and item.default_factory is not MISSING:
                default = item.default_factory()
            if default is MISSING and partial:
                default = None
            definitions[item.name] = (
                translate(hints[item.name]),
                declare(default, hints[item.name]),
            )
    model = create_model(name, __config__=STRICT, **definitions)
    model.__doc__ = (sources[-1].__doc__ or "").strip() if sources else None
    return cast("type[BaseModel]", model)


def declare(default: object, hint: object) -> object:
    """Pydantic's Field with description and default, as people would write that default."""
    extra: dict[str, Any] = {}
    metadata = getattr(hint, "__metadata__", ())
    described = [item.documentation for item in metadata if isinstance(item, DocInfo)]
    if SECONDS in metadata and isinstance(default, int | float):
        extra["default"] = format_duration(default)
    return Field(
        default=... if default is MISSING else default,
        description=described[0] if described else None,
        json_schema_extra=extra,
    )


def translate(hint: object) -> object:
    """The same type for pydantic: strict scalars, lenient containers, parsed addresses."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _translate_annotated(hint)
    if origin in (typing.Union, types.UnionType):
        written = [kind for kind in arguments if kind is not type(None)]
        if set(written) <= {*_ADDRESS_KINDS}:
            return _address(*written)
        kinds = [translate(kind) for kind in written]
        # None is what a field is when it is not written; it cannot be written.
        return typing.Union[tuple(kinds)]  # noqa: UP007 - made at run time
    if origin in (tuple, frozenset):
        inner = tuple(kind if kind is Ellipsis else translate(kind) for kind in arguments)
        return Annotated[origin[inner], Strict(False)]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Annotated[hint, Strict(False)]
    if hint in _ADDRESS_KINDS:
        return _address(cast("type", hint))
    parse = getattr(hint, "parse", None)
    if callable(parse):  # written as one word, even if it is a dataclass
        return Annotated[hint, BeforeValidator(parse), WithJsonSchema({"type": "string"})]
    if isinstance(hint, type) and is_dataclass(hint):
        return _section(hint)
    return hint


class _UnknownKeyError(UnfitError):
    rule = Rule.UNKNOWN_KEY


class _MissingKeyError(UnfitError):
    rule = Rule.MISSING_KEY


@cache
def _section(kind: type) -> object:
    """A dataclass within another: a model by its name, made into the dataclass in the end."""
    model = model_from(kind, name=kind.__name__)
    names = {item.name for item in fields(kind)}
    required = [name for name, info in model.model_fields.items() if info.is_required()]

    def check_keys(value: object) -> object:
        if isinstance(value, dict):
            for name in value.keys() - names:
                raise _UnknownKeyError(f'unknown key "{name}"', choices(str(name), sorted(names)))
            for name in required:
                if name not in value:
                    raise _MissingKeyError(f'"{name}" is missing')
        return value

    def make(value: BaseModel) -> object:
        return kind(**{name: getattr(value, name) for name in names})

    return Annotated[model, Strict(False), BeforeValidator(check_keys), AfterValidator(make)]


def _translate_annotated(hint: object) -> object:
    metadata = getattr(hint, "__metadata__", ())
    kind = translate(typing.get_args(hint)[0])
    kept = [item for item in metadata if not isinstance(item, DocInfo)]
    if SECONDS in metadata:
        kept += DURATION[1:]
    for item in kept:
        kind = Annotated[kind, item]
    return kind


def _address(*kinds: type) -> object:
    """An address of one of these kinds, as people write it."""
    examples = [_EXAMPLES[kind] for kind in kinds]
    hint = "write " + " or ".join(examples)

    def parse(value: object) -> object:
        if not isinstance(value, str):
            raise AddressError("an address is expected here", hint)
        if "/" not in value and kinds[0] in (IPv4Interface, IPv6Interface):
            length = 64 if ":" in value else 24
            raise AddressError(f'"{value}" has no prefix length', f"write {value}/{length}")
        for kind in kinds:
            with suppress(ValueError):
                return kind(value)
        raise AddressError(f'"{value}" is not such an address', hint)

    return Annotated[
        typing.Union[kinds],  # noqa: UP007 - made at run time
        PlainValidator(cast("Callable[[Any], Any]", parse)),
        WithJsonSchema({"type": "string", "examples": examples}),
    ]
