"""The kinds of checks by name. A new kind is one file and one word here.

The kind `tcp` is `TcpOptions` in `checkers.tcp`, and so on. A kind is imported when it is looked
up: a process that reads a configuration or runs one pays for the kinds in use, not for all.

Must never import what only a running probe needs: this is read wherever a configuration is.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from checkers.base import CheckOptions

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


class _Kinds(Mapping[str, type[CheckOptions]]):
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


KINDS: Mapping[str, type[CheckOptions]] = _Kinds()
"""What a configuration calls `type`, and the options that go with it."""
