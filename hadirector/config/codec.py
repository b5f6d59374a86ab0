"""A configuration as JSON and back, without loss.

The problem: the supervisor has read and checked the file and hands the result to the director
process, which must not read the file again (it may have changed meanwhile). The approach: walk
the dataclasses by their type hints, so a new field needs nothing here. The JSON is canonical
(sorted keys, no blanks), so its hash is the digest by which directors compare configurations.

Never repair anything: what comes in was written by `config_to_json`, and anything else is a bug.
"""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum, IntFlag
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

from hadirector.config.addresses import format_listen, parse_listen
from hadirector.config.model import Config, HealthCheck, Server, Service
from hadirector.ipvs.model import FirewallMark, ServiceKey, VirtualAddress

_ADDRESSES = (IPv4Address, IPv6Address)
_INTERFACES = (IPv4Interface, IPv6Interface)


_SAME = "as the service's"


class CodecError(ValueError):
    """JSON that no `config_to_json` of this version has written."""


def config_to_json(config: Config) -> str:
    """Canonical JSON: the same configuration gives the same text, byte for byte."""
    return json.dumps(_encode(config), sort_keys=True, separators=(",", ":"), allow_nan=False)


def config_from_json(text: str) -> Config:
    """The configuration again; raises CodecError."""
    try:
        decoded = _decode(Config, json.loads(text))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise CodecError(f"not a configuration of this version: {error!r}") from error
    assert isinstance(decoded, Config)
    return decoded


def digest(config: Config) -> str:
    """SHA-256 of the canonical JSON, in hex: comments and spelling of the file do not matter."""
    return hashlib.sha256(config_to_json(config).encode()).hexdigest()


def _encode(value: object) -> object:
    if isinstance(value, VirtualAddress | FirewallMark):
        return format_listen(value)
    if isinstance(value, IntFlag):
        return int(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (*_INTERFACES, *_ADDRESSES)):
        return str(value)
    if isinstance(value, Service):
        return _encode_service(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        # A list of pairs, since the order of nodes is the file's and sorting must not lose it.
        return [[key, _encode(item)] for key, item in value.items()]
    if isinstance(value, tuple | list | frozenset):
        items = [_encode(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, frozenset) else items
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _encode_service(service: Service) -> object:
    """A server that is checked as the service says only names that: thousands of them are."""
    encoded = {
        item.name: _encode(getattr(service, item.name))
        for item in fields(service)
        if item.name != "servers"
    }
    servers = [_encode_server(server, service.check) for server in service.servers]
    return {**encoded, "servers": servers}


def _encode_server(server: Server, check: HealthCheck) -> object:
    """What is as by default is left out: the JSON of tens of thousands of servers stays small."""
    encoded = {
        item.name: _encode(getattr(server, item.name))
        for item in fields(server)
        if item.name != "check" and getattr(server, item.name) != item.default
    }
    return {**encoded, "check": _SAME if server.check == check else _encode(server.check)}


def _decode_service(data: Mapping[str, object]) -> Service:
    check = _decode(HealthCheck, data["check"])
    hints = _hints(Service)
    servers = data["servers"]
    assert isinstance(servers, list)
    decoded = {
        name: _decode(hints[name], item)
        for name, item in data.items()
        if name not in ("check", "servers")
    }
    decoded["check"] = check
    decoded["servers"] = tuple(_decode_server(item, check) for item in servers)
    return typing.cast("Callable[..., Service]", Service)(**decoded)


def _decode_server(data: Mapping[str, object], check: object) -> object:
    if data["check"] != _SAME:
        return _decode(Server, data)
    server = _decode(Server, {**data, "check": None})
    assert isinstance(server, Server)
    return replace(server, check=typing.cast("HealthCheck", check))


def _decode(hint: object, data: object) -> object:
    """The value of type `hint` that `data` stands for."""
    if hint == ServiceKey:
        return parse_listen(str(data))
    if isinstance(hint, type) and is_dataclass(hint):
        return _decode_dataclass(hint, data)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _decode(arguments[0], data)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, data)
    if origin is typing.Literal:
        return data
    if origin in (tuple, frozenset):
        return _decode_items(origin, arguments, data)
    if origin is not None and issubclass(origin, Mapping):
        assert isinstance(data, list)
        return {key: _decode(arguments[1], item) for key, item in data}
    return _decode_scalar(hint, data)


def _decode_dataclass(kind: type, data: object) -> object:
    assert isinstance(data, dict)
    if kind is Service:
        return _decode_service(data)
    hints = dict(_hints(kind))
    if kind is HealthCheck:
        from checkers.registry import KINDS

        hints["options"] = KINDS[data["kind"]]
    return kind(**{name: _decode(hints[name], item) for name, item in data.items()})


def _decode_union(arguments: tuple[object, ...], data: object) -> object:
    if data is None:
        return None
    kinds = [_bare(argument) for argument in arguments if argument is not type(None)]
    if all(kind in _ADDRESSES for kind in kinds):
        return ip_address(str(data))
    if all(kind in _INTERFACES for kind in kinds):
        return ip_interface(str(data))
    if len(kinds) == 1:
        return _decode(kinds[0], data)
    # JSON tells lists and scalars apart, which is all that our unions need.
    listed = [kind for kind in kinds if typing.get_origin(kind) in (tuple, frozenset)]
    if isinstance(data, list) and listed:
        return _decode(listed[0], data)
    matching = [kind for kind in kinds if kind is type(data)]
    return _decode(matching[0] if matching else kinds[0], data)


def _bare(hint: object) -> object:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _decode_items(
    origin: type[tuple[object, ...]] | type[frozenset[object]],
    arguments: tuple[object, ...],
    data: object,
) -> object:
    assert isinstance(data, list)
    if origin is tuple and Ellipsis not in arguments:
        return tuple(_decode(kind, item) for kind, item in zip(arguments, data, strict=True))
    return origin(_decode(arguments[0], item) for item in data)


def _decode_scalar(hint: object, data: object) -> object:
    if not isinstance(hint, type):
        return data
    if issubclass(hint, IntFlag):
        return hint(int(str(data)))
    if issubclass(hint, Enum):
        return hint[str(data)]
    if issubclass(hint, (*_INTERFACES, *_ADDRESSES)):
        return hint(str(data))
    if issubclass(hint, float) and isinstance(data, int):
        return float(data)
    return data


@cache
def _hints(kind: type) -> Mapping[str, object]:
    from checkers.base import CheckOptions, Timing
    from vrrp.config import RouterSettings, VirtualRouter

    names = {
        "CheckOptions": CheckOptions,
        "RouterSettings": RouterSettings,
        "Timing": Timing,
        "VirtualRouter": VirtualRouter,
    }
    return typing.get_type_hints(kind, localns=names, include_extras=True)
