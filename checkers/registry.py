"""The kinds of checks by name. A new kind is one file and one word here.

The kind `tcp` is `TcpOptions` in `checkers.tcp`, and so on; a name that is none of these may be of
another package (`plugins`). A kind is imported when it is looked up: a process that reads a
configuration or runs one pays for the kinds in use, not for all.

Must never import what only a running probe needs: this is read wherever a configuration is.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping

from checkers.options import CheckOptions

NAMES = (
    "tcp",
    "http",
    "https",
    "tls",
    "dns",
    "udp",
    "ping",
    "script",
    "file",
    "agent",
    "smtp",
    "imap",
    "pop3",
    "ftp",
    "redis",
    "memcached",
    "mysql",
    "postgresql",
    "ldap",
    "ntp",
    "radius",
    "sip",
    "grpc",
)


class _Ours(Mapping[str, type[CheckOptions]]):
    """Knows all names, and imports what is looked up."""

    def __getitem__(self, name: str) -> type[CheckOptions]:
        if name not in NAMES:
            raise KeyError(name)
        options: type[CheckOptions] = getattr(
            importlib.import_module(f"checkers.{name}"), f"{name.title()}Options"
        )
        return options

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


class _Kinds(Mapping[str, type[CheckOptions]]):
    """Ours first, then those of other packages that can be used."""

    def __getitem__(self, name: str) -> type[CheckOptions]:
        return OURS[name] if name in OURS else _plugin(name)

    def __iter__(self) -> Iterator[str]:
        from checkers import plugins

        yield from OURS
        for name in plugins.found():
            if name not in OURS and trouble(name) is None:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


OURS: Mapping[str, type[CheckOptions]] = _Ours()
"""The kinds of this package."""

KINDS: Mapping[str, type[CheckOptions]] = _Kinds()
"""What a configuration calls `type`, and the options that go with it."""


def trouble(name: str) -> str | None:
    """Why a kind of another package cannot be used; None if it can, or nobody has it."""
    from checkers.plugins import PluginError

    try:
        _plugin(name)
    except PluginError as error:
        return str(error)
    except KeyError:
        return None
    return None


@functools.cache
def _plugin(name: str) -> type[CheckOptions]:
    # Here and not above: to look for installed packages costs more than to read a configuration.
    from checkers import plugins

    return plugins.load(name, OURS)
