"""What each real server of the file listens on, and what it answers there.

The problem: the servers in the lab must satisfy the checks the file configures, and tell clients
who answered. The approach: collect, from all services, the ports of each server address with the
answer each configured check expects; any other request gets status 200 and the server's name.

Pure: reads a configuration, opens nothing. It must never depend on how a service is forwarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hadirector.config.model import Config, HealthCheck, Server, Service
from hadirector.ipvs.model import FirewallMark, Protocol, VirtualAddress
from hadirector.lab.errors import LabError
from hadirector.lab.marks import marked
from hadirector.lab.spares import Address

if TYPE_CHECKING:
    from checkers.options import CheckOptions

STATUS_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to one path: an HTTP status and text that the body must hold."""

    status: int = STATUS_OK
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One port of a real server. `answers` are by path; `tls_names` is empty without TLS."""

    protocol: Protocol
    port: int
    answers: Mapping[str, Answer] = field(default_factory=dict)
    tls_names: tuple[str, ...] = ()


def servers_of(service: Service) -> Iterator[Server]:
    """The servers of a service, the fallback servers last."""
    yield from service.servers
    yield from service.fallbacks


def server_addresses(config: Config) -> tuple[Address, ...]:
    """All real servers, in the file's order, each once."""
    every = (server.address for service in config.services for server in servers_of(service))
    return tuple(dict.fromkeys(every))


def listeners_of(config: Config, address: Address) -> tuple[Listener, ...]:
    """The ports of one real server. Raises LabError where the file wants the impossible."""
    found: dict[tuple[Protocol, int], Listener] = {}
    marks = marked(config)
    for service in config.services:
        for server in servers_of(service):
            if server.address == address:
                for listener in _wanted(service, server, marks):
                    _merge(found, listener, address)
    return tuple(found.values())


def _wanted(
    service: Service, server: Server, marks: Mapping[FirewallMark, VirtualAddress]
) -> Iterable[Listener]:
    """The service's own ports and, for a server that is checked, the check's."""
    for listen in service.listens:
        place = marks.get(listen) if isinstance(listen, FirewallMark) else listen
        if place is not None:
            yield Listener(protocol=place.protocol, port=server.behind(place).port)
    if server.check is not None:
        for check in service.checks_of(server):
            if check.options.address in (None, server.address):
                yield from _checked(server, check)


def _checked(server: Server, check: HealthCheck) -> Iterable[Listener]:
    """What answers a server's check; nothing where the check never comes to a port of it."""
    port = check.options.port if check.options.port is not None else server.port
    if check.kind in ("http", "https"):
        yield _http_listener(server, port, check.options)
    elif check.kind == "tls":
        names = _tls_names(server, check.options, None)
        yield Listener(protocol=Protocol.TCP, port=port, tls_names=names)
    elif check.kind == "tcp":
        if getattr(check.options, "expect", None) or getattr(check.options, "expect_hex", None):
            raise _refusal(server, check, "expects an answer that the lab's servers do not give")
        yield Listener(protocol=Protocol.TCP, port=port)
    elif check.kind not in _WITHOUT_A_PORT:
        raise _refusal(server, check, "is for a protocol that the lab's servers do not speak")


_WITHOUT_A_PORT: Final = frozenset({"ping", "script", "file"})
"""Kinds that run on the director, or that every machine of the lab answers by itself."""


def _refusal(server: Server, check: HealthCheck, why: str) -> LabError:
    return LabError(
        f"the check of {server} (type {check.kind}) {why}; rehearse with `type: tcp` and no "
        "expectation, or with `http`"
    )


def _http_listener(server: Server, port: int, options: CheckOptions) -> Listener:
    # Imported here since it brings asyncio along, which costs a second in the embedded kernel.
    from checkers.http import HttpOptions, parse_status
    from checkers.https import HttpsOptions

    assert isinstance(options, HttpOptions)
    statuses = parse_status(options.status)
    status = STATUS_OK if STATUS_OK in statuses else min(statuses)
    body = options.contains or ""
    if options.json_key is not None or options.method == "POST":
        wish = "a value in JSON" if options.json_key is not None else "an answer to a POST"
        raise LabError(
            f"the check of {server} wants {wish}, which the lab's servers do not give; rehearse "
            "with `contains` and another method"
        )
    if options.matches is not None and not re.search(options.matches, body):
        raise LabError(
            f"the check of {server} wants a body that matches {options.matches!r}; for the lab to "
            "answer with one, write a text that does as `contains`"
        )
    is_https = isinstance(options, HttpsOptions)
    return Listener(
        protocol=Protocol.TCP,
        port=port,
        answers={path: Answer(status, body) for path in options.paths},
        tls_names=_tls_names(server, options, options.host) if is_https else (),
    )


def _tls_names(server: Server, options: CheckOptions, host: str | None) -> tuple[str, ...]:
    authorities = getattr(options, "ca", None)
    if authorities is not None:
        raise LabError(
            f"the check of {server} trusts only the authorities in {authorities}, for which "
            "the lab cannot sign; rehearse with `verify: false` or without `ca`"
        )
    host = (host or "").rpartition(":")[0] or host
    return tuple(filter(None, (str(server.address), getattr(options, "server_name", None) or host)))


def _merge(found: dict[tuple[Protocol, int], Listener], new: Listener, address: Address) -> None:
    key = (new.protocol, new.port)
    old = found.get(key)
    if old is None:
        found[key] = new
        return
    for path in old.answers.keys() & new.answers.keys():
        if old.answers[path].status != new.answers[path].status:
            raise LabError(
                f"two checks want different answers from port {new.port} of {address} "
                f"for {path}: status {old.answers[path].status} and {new.answers[path].status}"
            )
    answers = {**old.answers}
    for path, answer in new.answers.items():
        known = answers.get(path, Answer(answer.status))
        body = known.body if answer.body in known.body else f"{known.body}\n{answer.body}".strip()
        answers[path] = Answer(answer.status, body)
    found[key] = Listener(
        protocol=new.protocol,
        port=new.port,
        answers=answers,
        tls_names=tuple(dict.fromkeys(old.tls_names + new.tls_names)),
    )
