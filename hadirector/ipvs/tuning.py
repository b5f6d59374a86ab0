"""The kernel's settings for IPVS as names and texts, and what differs between two sets of them.

The problem: some settings are files under /proc/sys/net/ipv4/vs, some travel by netlink, all hold
for the whole network namespace, and whoever changes them should be able to put back what was there.
The approach: each setting has a name and a text, as /proc writes it; the difference of two sets is
a list of changes that carry what was before. Only what the configuration names is ever looked at.
The names without a dash are files of ``net/netfilter/ipvs/ip_vs_ctl.c`` (``vs_vars``).

Never: I/O, or a change nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hadirector.ipvs.control import Timeouts

TIMEOUTS: Final[Mapping[str, str]] = MappingProxyType(
    {"tcp-timeout": "tcp_s", "tcp-fin-timeout": "tcp_fin_s", "udp-timeout": "udp_s"}
)
"""Settings that travel by netlink, and their fields in ``Timeouts``."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting to be changed; ``before`` None: nobody has looked, or the kernel lacks it."""

    name: str
    value: str
    before: str | None

    def __str__(self) -> str:
        now = "" if self.before is None else f" (it is {self.before})"
        return f"set {self.name} to {self.value}{now}"


def changes(wanted: Mapping[str, str], actual: Mapping[str, str]) -> tuple[Change, ...]:
    """What must be changed so that the kernel has what is wanted; none where it has."""
    return tuple(
        Change(name, value, actual.get(name))
        for name, value in wanted.items()
        if actual.get(name) != value
    )


def timeouts_of(values: Mapping[str, str]) -> Timeouts:
    """The time-outs among these settings; 0 (stay as you are) for one that is not there."""
    return Timeouts(**{field: int(values.get(name, "0")) for name, field in TIMEOUTS.items()})


def as_settings(timeouts: Timeouts) -> dict[str, str]:
    """Time-outs by the names that settings have."""
    return {name: str(getattr(timeouts, field)) for name, field in TIMEOUTS.items()}
