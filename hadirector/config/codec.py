"""A configuration as JSON and back, without loss.

The problem: the supervisor has read and checked the file and hands the result to the director
process, which must not read the file again (it may have changed meanwhile). With tens of thousands
of servers it must be quick, too. The approach: the type hints of the dataclasses tell how each
field is written and read, so a new field needs nothing here; what that is gets worked out once per
type. What is as by default is left out, and so is a server's check that is its service's. The JSON
is canonical (sorted keys, no blanks), so its hash is the digest by which directors compare
configurations; and each service is a text of its own, so what did not change can be kept.

Never repair anything: what comes in was written by `config_to_json`, and anything else is a bug.
"""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum, IntFlag
from functools import cache, lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from operator import attrgetter

from hadirector.config.addresses import format_listen, parse_listen
from hadirector.config.model import Config, HealthCheck, Server, Service
from hadirector.garbage import without_collection
from hadirector.ipvs.model import FirewallMark, ServiceKey, VirtualAddress

_ADDRESSES = (IPv4Address, IPv6Address)
_INTERFACES = (IPv4Interface, IPv6Interface)
_SERVICES = "services"
_OF_CHECKS = ("check", "more_checks", "require")
_CHECKS_KEPT_MAX = 1024

_Encoder = Callable[[typing.Any], object]
_Decoder = Callable[[typing.Any], object]


class CodecError(ValueError):
    """JSON that no `config_to_json` of this version has written."""


def config_to_json(config: Config, services: Iterable[str] | None = None) -> str:
    """Canonical JSON: the same configuration gives the same text, byte for byte.

    `services`: what `service_to_json` gives for each of its services, where that is known already.
    """
    return "".join(_pieces(config, services))


def service_to_json(service: Service) -> str:
    """Canonical JSON of one service: its part of a configuration's."""
    return _dump(_encode(service))


def config_from_json(text: str) -> Config:
    """The configuration again; raises CodecError."""
    try:
        with without_collection():
            decoded = _decoder(Config)(json.loads(text))
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CodecError(f"not a configuration of this version: {error!r}") from error
    assert isinstance(decoded, Config)
    return decoded


def digest(config: Config, services: Iterable[str] | None = None) -> str:
    """SHA-256 of the canonical JSON, in hex: comments and spelling of the file do not matter.

    The JSON itself, which may have megabytes, is not made for it. `services`: as above.
    """
    hashed = hashlib.sha256()
    for piece in _pieces(config, services):
        hashed.update(piece.encode())
    return hashed.hexdigest()


def digest_of(text: str) -> str:
    """The digest of a configuration whose canonical JSON this is."""
    return hashlib.sha256(text.encode()).hexdigest()


def _pieces(config: Config, services: Iterable[str] | None) -> Iterator[str]:
    """The canonical JSON of a configuration, in pieces: one for each service, and around them."""
    texts = map(service_to_json, config.services) if services is None else services
    head = _dump(_encode(replace(config, services=())))
    yield f'{head[:-1]},"{_SERVICES}":['
    for place, text in enumerate(texts):
        yield f",{text}" if place else text
    yield "]}"


def _dump(encoded: object) -> str:
    return json.dumps(encoded, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _encode(value: object) -> object:
    kind: typing.Any = type(value)
    return _encoder(kind)(value)


@cache
def _encoder(kind: type) -> _Encoder:
    """How values of this type are written."""
    if issubclass(kind, VirtualAddress | FirewallMark):
        return format_listen
    if issubclass(kind, IntFlag):
        return int
    if issubclass(kind, Enum):
        return attrgetter("name")
    if issubclass(kind, (*_INTERFACES, *_ADDRESSES)):
        return str
    if kind is Service:
        return _encode_service
    if is_dataclass(kind):
        return _dataclass_encoder(kind)
    if issubclass(kind, Mapping):
        # A list of pairs, since the order of nodes is the file's and sorting must not lose it.
        return lambda value: [[key, _encode(item)] for key, item in value.items()]
    if issubclass(kind, frozenset):
        return lambda value: sorted(map(_encode, value), key=repr)
    if issubclass(kind, tuple | list):
        return lambda value: [_encode(item) for item in value]
    if issubclass(kind, str | int | float | types.NoneType):
        return lambda value: value
    raise TypeError(f"{kind.__name__} has no JSON form")


def _dataclass_encoder(kind: type, *, but: tuple[str, ...] = ()) -> _Encoder:
    """All fields of a dataclass that are not as by default, `but` some."""
    parts = [(item.name, item.default) for item in fields(kind) if item.name not in but]

    def encode(value: object) -> dict[str, object]:
        encoded = {}
        for name, default in parts:
            item = getattr(value, name)
            if item is not default and (item != default or type(item) is not type(default)):
                encoded[name] = _encode(item)
        return encoded

    return encode


_encode_head = _dataclass_encoder(Service, but=("servers",))
_encode_checks = _dataclass_encoder(
    Server, but=tuple(item.name for item in fields(Server) if item.name not in _OF_CHECKS)
)
_encode_unchecked = _dataclass_encoder(Server, but=_OF_CHECKS)


def _encode_service(service: Service) -> object:
    encoded = typing.cast("dict[str, object]", _encode_head(service))
    encoded["servers"] = [_encode_server(server, service) for server in service.servers]
    return encoded


def _encode_server(server: Server, service: Service) -> object:
    """A server that is checked as the service says has nothing on it: thousands of them are."""
    encoded = typing.cast("dict[str, object]", _encode_unchecked(server))
    mine = (server.check, server.more_checks, server.require)
    if mine != (service.check, service.more_checks, service.require):
        encoded |= typing.cast("dict[str, object]", _encode_checks(server))
        encoded["check"] = _encode(server.check)  # though it were none: it is not the service's
    return encoded


@cache
def _decoder(hint: object) -> _Decoder:
    """How a value of this type hint is read."""
    if hint == ServiceKey:
        return lambda data: parse_listen(str(data))
    if hint is HealthCheck:
        return lambda data: _check_of(_dump(data))
    if hint is Service:
        return _decode_service
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_decoder(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _decoder(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _union_decoder(arguments)
    if origin is typing.Literal:
        return lambda data: data
    if origin in (tuple, frozenset):
        return _items_decoder(origin, arguments)
    if origin is not None and issubclass(origin, Mapping):
        inner = _decoder(arguments[1])
        return lambda data: {key: inner(item) for key, item in _listed(data)}
    return _scalar_decoder(hint)


def _dataclass_decoder(kind: type) -> _Decoder:
    known = _fields_decoder(kind)
    return lambda data: kind(**known(data))


def _fields_decoder(kind: type) -> Callable[[Mapping[str, object]], dict[str, object]]:
    """Reads the fields of a dataclass; KeyError where it has no such field."""
    decoders = {name: _decoder(hint) for name, hint in _hints(kind).items()}
    return lambda data: {name: decoders[name](item) for name, item in data.items()}


@lru_cache(maxsize=_CHECKS_KEPT_MAX)
def _check_of(text: str) -> HealthCheck:
    """A check; thousands of services have the same, and then share it."""
    from checkers.registry import KINDS
    from checkers.timing import Timing

    data = json.loads(text)
    options = _dataclass_decoder(KINDS[data["kind"]])(data.pop("options", {}))
    timing = _dataclass_decoder(Timing)(data.pop("timing", {}))
    return typing.cast("Callable[..., HealthCheck]", HealthCheck)(
        **data, options=options, timing=timing
    )


@cache
def _service_parts() -> tuple[_Decoder, _Decoder]:
    return _fields_decoder(Service), _fields_decoder(Server)


def _decode_service(data: dict[str, object]) -> Service:
    of_service, of_server = _service_parts()
    head = {name: item for name, item in data.items() if name != "servers"}
    values = typing.cast("dict[str, typing.Any]", of_service(head))
    inherited = {name: values[name] for name in _OF_CHECKS if name in values}
    made = typing.cast("Callable[..., Server]", Server)
    servers = tuple(
        made(
            **({} if "check" in item else inherited),
            **typing.cast("dict[str, typing.Any]", of_server(item)),
        )
        for item in _listed(data["servers"])
    )
    return typing.cast("Callable[..., Service]", Service)(**values, servers=servers)


def _union_decoder(arguments: tuple[object, ...]) -> _Decoder:
    kinds = [_bare(argument) for argument in arguments if argument is not type(None)]
    if all(kind in _ADDRESSES for kind in kinds):
        return lambda data: None if data is None else ip_address(data)
    if all(kind in _INTERFACES for kind in kinds):
        return lambda data: None if data is None else ip_interface(data)
    # JSON tells lists and scalars apart, which is all that our unions need.
    listed = [kind for kind in kinds if typing.get_origin(kind) in (tuple, frozenset)]
    of_list = _decoder((listed or kinds)[0])
    by_type = {kind: _decoder(kind) for kind in kinds if isinstance(kind, type)}
    otherwise = _decoder(kinds[0])

    def decode(data: object) -> object:
        if data is None:
            return None
        if isinstance(data, list):
            return of_list(data)
        return by_type.get(type(data), otherwise)(data)

    return decode


def _bare(hint: object) -> object:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _items_decoder(
    origin: type[tuple[object, ...]] | type[frozenset[object]], arguments: tuple[object, ...]
) -> _Decoder:
    if origin is tuple and Ellipsis not in arguments:
        each = [_decoder(kind) for kind in arguments]
        return lambda data: tuple(
            decode(item) for decode, item in zip(each, _listed(data), strict=True)
        )
    inner = _decoder(arguments[0])
    return lambda data: origin(inner(item) for item in _listed(data))


def _listed(data: object) -> list[typing.Any]:
    assert isinstance(data, list)
    return data


def _scalar_decoder(hint: object) -> _Decoder:
    if not isinstance(hint, type):
        return lambda data: data
    kind: typing.Any = hint
    if issubclass(hint, IntFlag):
        return lambda data: kind(int(data))
    if issubclass(hint, Enum):
        return lambda data: kind[data]
    if issubclass(hint, (*_INTERFACES, *_ADDRESSES)):
        return kind  # type: ignore[no-any-return]
    if issubclass(hint, float):
        return lambda data: float(data) if isinstance(data, int) else data
    return lambda data: data


@cache
def _hints(kind: type) -> Mapping[str, object]:
    from checkers.options import CheckOptions
    from checkers.timing import Timing
    from hadirector.hooks import ServiceHook
    from vrrp.config import RouterSettings, VirtualRouter

    names = {
        "CheckOptions": CheckOptions,
        "RouterSettings": RouterSettings,
        "ServiceHook": ServiceHook,
        "Timing": Timing,
        "VirtualRouter": VirtualRouter,
    }
    found = typing.get_type_hints(kind, localns=names, include_extras=True)
    return {item.name: found[item.name] for item in fields(kind)}
