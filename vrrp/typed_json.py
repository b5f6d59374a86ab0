"""Frozen dataclasses as JSON and back, by their type hints.

The problem. What passes between our processes, and between two directors, must be defined in one
place and believed only as far as it is exactly that. The approach. The hints of a dataclass tell
how each field is written and read: numbers, texts, enumerations, addresses, tuples, mappings by
text, further dataclasses. Unknown fields and wrong types are errors with the path to them, not
guesses.

This module never does I/O.
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from types import NoneType, UnionType
from typing import Annotated, Final, get_args, get_origin, get_type_hints


class MessageError(Exception):
    """A line is not a message; the sentence says where it goes wrong."""


_ADDRESSES: Final = (IPv4Address, IPv6Address)
_INTERFACES: Final = (IPv4Interface, IPv6Interface)


def write_line(value: object, **first: object) -> bytes:
    """Return a dataclass as one line of JSON, its line feed included; `first` goes before it."""
    return _ENCODER.encode({**first, **fields_of(value)}).encode() + b"\n"


def read_line(line: bytes) -> dict[str, object]:
    """Return the JSON object that a line is. Raises MessageError."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise MessageError("not a JSON object")
    return document


def _to_json(value: object) -> object:
    """Turn into something simpler what `json` cannot write by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return fields_of(value)
    if isinstance(value, (*_INTERFACES, *_ADDRESSES)):
        return str(value)
    raise TypeError(f"{value!r} has no place in a message")


_ENCODER: Final = json.JSONEncoder(default=_to_json, check_circular=False)
"""Hundreds of reports a minute: what is plain is left to the encoder, which is written in C."""


def read_dataclass(kind: type, document: object, path: str) -> object:
    """Return the dataclass of this kind that a document is. Raises MessageError."""
    if not isinstance(document, dict):
        raise MessageError(f"{path}: not an object")
    hints = _hints(kind)
    if unknown := document.keys() - hints.keys():
        raise MessageError(f"{path}: unknown field {min(unknown)!r}")
    values = {name: _read(hints[name], value, f"{path}.{name}") for name, value in document.items()}
    try:
        built: object = kind(**values)
    except (TypeError, ValueError) as error:  # a field is missing; or its own check refused it
        raise MessageError(f"{path}: {error}") from None
    return built


def _read(hint: object, value: object, path: str) -> object:
    """Read `value` as what the type hint asks for."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _read(arguments[0], value, path)
    if origin is UnionType:
        if value is None and NoneType in arguments:
            return None
        if set(arguments) & {*_ADDRESSES, *_INTERFACES}:
            return _read_address(arguments, value, path)
        return _read(arguments[0], value, path)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {str(k): _read(arguments[1], v, f"{path}.{k}") for k, v in value.items()}
    if isinstance(hint, type):
        return _read_plain(hint, value, path)
    raise MessageError(f"{path}: {value!r} is not what belongs here")


def _read_address(kinds: tuple[object, ...], value: object, path: str) -> object:
    """Read an address of either family, with prefix where `kinds` ask for it."""
    try:
        if isinstance(value, str) and IPv4Interface in kinds:
            return ip_interface(value)
        if isinstance(value, str):
            return ip_address(value)
    except ValueError as error:
        raise MessageError(f"{path}: {error}") from None
    raise MessageError(f"{path}: {value!r} is no address")


def _read_plain(kind: type, value: object, path: str) -> object:
    if dataclasses.is_dataclass(kind):
        return read_dataclass(kind, value, path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError as error:
            raise MessageError(f"{path}: {error}") from None
    if type(value) is kind:
        return value
    raise MessageError(f"{path}: {value!r} is not of type {kind.__name__}")


def fields_of(value: object) -> dict[str, object]:
    """Return the fields of a dataclass by name."""
    kind: type = type(value)
    return {name: getattr(value, name) for name in _hints(kind)}


@cache
def _hints(kind: type[object]) -> dict[str, object]:
    return get_type_hints(kind, include_extras=True)
