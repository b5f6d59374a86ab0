"""Which servers a name that somebody typed stands for: `web`, or `web/198.51.100.21:8080`. Pure.

A name that does not exist is never taken for its neighbour: it is refused, with the near one told.
"""

from __future__ import annotations

from hadirector.config.diagnostics import near
from hadirector.config.model import Config, Server, Service
from hadirector.pool import server_key
from hadirector.router_answers import UnknownSubjectError

NAMES_TOLD_MAX = 10  # of a service with ten thousand servers


def servers_called(config: Config, what: str) -> dict[str, tuple[Service, Server]]:
    """The server of that name, or all of the service of that name, by `server_key`.

    Raises UnknownSubjectError, also for a fallback server without a check, whose weight nobody
    changes: it serves when no other does.
    """
    name, slash, text = what.partition("/")
    service_called(config, name)
    service = next(one for one in config.services if one.name == name)
    named = {server_key(service, server): (service, server) for server in service.servers}
    spare = {server_key(service, server): (service, server) for server in service.fallbacks}
    if not slash:
        return named
    if what in named:
        return {what: named[what]}
    if what in spare and spare[what][1].check is not None:
        return {what: spare[what]}
    if what in spare:
        raise UnknownSubjectError(
            f"{what} is a fallback server: it has no check, and serves when no other does"
        )
    raise UnknownSubjectError(f'"{name}" has no server "{text}"; {_instead(what, list(named))}')


def service_called(config: Config, what: str) -> str:
    """The name of a service that exists; raises UnknownSubjectError."""
    names = [service.name for service in config.services]
    if what not in names:
        raise UnknownSubjectError(f'no service is called "{what}"; {_instead(what, names)}')
    return what


def server_called(config: Config, what: str) -> str:
    """The key of the one server of that name; raises UnknownSubjectError."""
    named = servers_called(config, what)
    if "/" not in what:
        raise UnknownSubjectError(f'"{what}" is a service; name one server: {_listed(list(named))}')
    [(key, (service, server))] = named.items()
    if server in service.fallbacks:
        raise UnknownSubjectError(
            f"{what} is a fallback server: it serves when no other does, and takes no orders"
        )
    return key


def _instead(word: str, names: list[str]) -> str:
    found = near(word, names)
    return f'did you mean "{found}"?' if found is not None else f"there is: {_listed(names)}"


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_TOLD_MAX
    shown = ", ".join(names[:NAMES_TOLD_MAX]) or "none"
    return f"{shown} and {more} more" if more > 0 else shown
