"""The per-interface switches of the kernel that moving an address depends on.

Reference: Documentation/networking/ip-sysctl.rst of the kernel, `/proc/sys/net/ipv4/conf` and its
like for IPv6. They are those of the network namespace of the process that opens the file.

This module never leaves a switch changed without telling its caller the value it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

ARP_SILENT: Final = 8
"""`arp_ignore`: answer no ARP request, whatever address it asks for."""
_CONF: Final = {4: Path("/proc/sys/net/ipv4/conf"), 6: Path("/proc/sys/net/ipv6/conf")}


def read(interface: str, key: str, family: int = 4) -> int:
    """Return a switch of an interface (or of `all`, `default`). Raises OSError."""
    return int((_CONF[family] / interface / key).read_text())


def write(interface: str, key: str, value: int, family: int = 4) -> None:
    """Set a switch of an interface. Raises OSError."""
    (_CONF[family] / interface / key).write_text(str(value))


def has_ipv6() -> bool:
    """Tell whether this host knows IPv6."""
    return _CONF[6].is_dir()


def restore(interface: str, before: Mapping[str, int], changed: Mapping[str, int]) -> None:
    """Put IPv4 switches back, unless somebody has changed them since. Raises OSError."""
    for key, value in before.items():
        if key in changed and value < changed[key] == read(interface, key):
            write(interface, key, value)


def end_forgotten_silence(interface: str) -> bool:
    """Make an interface answer ARP again if a process died while it kept it silent.

    The value from before is lost, so that of `default` takes its place. Tells whether there was
    anything to do. Raises OSError.
    """
    if read(interface, "arp_ignore") != ARP_SILENT:
        return False
    default = read("default", "arp_ignore")
    write(interface, "arp_ignore", 0 if default == ARP_SILENT else default)
    return True


@contextmanager
def promoted_secondaries(interface: str) -> Iterator[None]:
    """Make removing an address remove just that one, while the context lasts.

    Without this switch the kernel takes all other addresses of a subnet away together with the
    first one of it (net/ipv4/devinet.c, __inet_del_ifa), the host's own included.
    """
    key = "promote_secondaries"
    try:
        before = read(interface, key)
        if before == 0:
            write(interface, key, 1)
    except OSError:  # the interface is gone, or /proc/sys is read-only: go on without
        yield
        return
    try:
        yield
    finally:
        if before == 0:
            with suppress(OSError):  # the interface may have gone away meanwhile
                write(interface, key, before)
