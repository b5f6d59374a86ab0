"""What each real server of the file listens on, and what it answers there.

The problem: the servers in the lab must satisfy the checks the file configures, and tell clients
who answered. The approach: collect, from all services, the ports of each server address with the
answer each configured check expects; any other request gets status 200 and the server's name.

Pure: reads a configuration, opens nothing. It must never depend on how a service is forwarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hadirector.config.model import Config, HealthCheck, Server, Service
from hadirector.ipvs.model import FirewallMark, Protocol
from hadirector.lab.errors import LabError
from hadirector.lab.spares import Address

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
    """The servers of a service, the fallback server last."""
    yield from service.servers
    if service.fallback is not None:
        yield service.fallback


def server_addresses(config: Config) -> tuple[Address, ...]:
    """All real servers, in the file's order, each once."""
    every = (server.address for service in config.services for server in servers_of(service))
    return tuple(dict.fromkeys(every))


def listeners_of(config: Config, address: Address) -> tuple[Listener, ...]:
    """The ports of one real server. Raises LabError where the file wants the impossible."""
    found: dict[tuple[Protocol, int], Listener] = {}
    for service in config.services:
        for server in servers_of(service):
            if server.address == address:
                for listener in _wanted(service, server):
                    _merge(found, listener, address)
    return tuple(found.values())


def _wanted(service: Service, server: Server) -> Iterable[Listener]:
    """The service's own port and, for a server that is checked, the check's."""
    # What a firewall mark selects is not in the file: such a service is answered over TCP.
    listen = service.listen
    protocol = Protocol.TCP if isinstance(listen, FirewallMark) else listen.protocol
    yield Listener(protocol=protocol, port=server.port)
    if server.check is not None:
        yield _checked(server, server.check)


def _checked(server: Server, check: HealthCheck) -> Listener:
    port = check.options.port if check.options.port is not None else server.port
    if check.kind not in ("http", "https"):
        return Listener(protocol=Protocol.TCP, port=port)
    # Imported here since it brings asyncio along, which costs a second in the embedded kernel.
    from checkers.http import HttpOptions, parse_status
    from checkers.https import HttpsOptions

    options = check.options
    assert isinstance(options, HttpOptions)
    statuses = parse_status(options.status)
    status = STATUS_OK if STATUS_OK in statuses else min(statuses)
    names: tuple[str, ...] = ()
    if isinstance(options, HttpsOptions):
        if options.ca is not None:
            raise LabError(
                f"the check of {server} trusts only the authorities in {options.ca}, for which "
                "the lab cannot sign; rehearse with `verify: false` or without `ca`"
            )
        host = (options.host or "").rpartition(":")[0] or options.host
        names = tuple(filter(None, (str(server.address), options.server_name or host)))
    return Listener(
        protocol=Protocol.TCP,
        port=port,
        answers={options.path: Answer(status, options.contains or "")},
        tls_names=names,
    )


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
