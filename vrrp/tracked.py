"""What an operator may have a virtual router depend on, besides its own interface.

A director can be alive and yet the wrong one: its other link is down, its uplink has no route, a
program it needs has died. Each such thing is a *tracker* with a weight that changes the priority,
or without one: then the virtual router takes no part while it fails. `priority` does the sum.

This module never looks at anything; it only holds what is written in the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

from annotated_types import Ge, Le, MaxLen, MinLen, Unit, doc

Seconds = Annotated[float, Unit("s")]

WEIGHT_MAX: Final = 253
"""From one end of the usable priorities, 1 to 254, to the other."""

_KINDS: Final = ("interface", "script", "file", "process", "route", "service")
_BELONGS: Final = {
    "debounce": ("interface",),
    "interval": ("script", "file", "process", "route"),
    "timeout": ("script",),
    "rise": ("script", "process", "route"),
    "fall": ("script", "process", "route"),
    "user": ("script",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker:
    """Something the priority depends on. It names exactly one thing, and a weight or none."""

    interface: Annotated[
        str | None, MinLen(1), MaxLen(15), doc("Another interface, which must have its carrier.")
    ] = None
    script: Annotated[
        tuple[str, ...] | None,
        MinLen(1),
        doc("A program with its arguments, by its whole path; exit code 0 means it is well."),
    ] = None
    file: Annotated[
        str | None,
        doc(
            "A file with a whole number, by its whole path. The weight is multiplied by it; without"
            " a weight any number but 0 is a fault. A file that is not there counts as 0."
        ),
    ] = None
    process: Annotated[
        str | None, MinLen(1), MaxLen(64), doc("The name of a program that must be running.")
    ] = None
    route: Annotated[
        str | None,
        doc("A route of the main table that must be there: `default`, or a network."),
    ] = None
    service: Annotated[str | None, doc("A virtual service, which must have its quorum.")] = None
    weight: Annotated[
        int | None,
        Ge(-WEIGHT_MAX),
        Le(WEIGHT_MAX),
        doc(
            "Added to the priority: a negative one while it fails, a positive one while it is well."
            " Without a weight the virtual router takes no part while it fails."
        ),
    ] = None
    debounce: Annotated[
        Seconds,
        Ge(0),
        Le(60),
        doc("How long an interface must be up, or down, before that counts."),
    ] = 0.1
    interval: Annotated[
        Seconds,
        Ge(0.1),
        Le(3600),
        doc(
            "Time between two looks at a script, file, process or route. A file that changes is"
            " looked at at once besides (inotify)."
        ),
    ] = 1.0
    timeout: Annotated[
        Seconds,
        Ge(0.1),
        Le(300),
        doc("A script that runs longer is killed with all it started, and has failed."),
    ] = 1.0
    rise: Annotated[
        int, Ge(1), Le(100), doc("Passes in a row after which a failed one is well again.")
    ] = 2
    fall: Annotated[int, Ge(1), Le(100), doc("Failures in a row after which it has failed.")] = 3
    user: Annotated[
        str | None, MinLen(1), doc("Who runs the script. Without it `nobody`; root if you must.")
    ] = None

    def __post_init__(self) -> None:
        named = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            what = " and ".join(named) or "nothing"
            raise ValueError(f"a tracker names one of {', '.join(_KINDS)}, not {what}")
        for field in fields(self):
            kinds = _BELONGS.get(field.name)
            if kinds and named[0] not in kinds and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name}: it belongs to trackers of {' or '.join(kinds)}")
        if self.weight == 0:
            raise ValueError("weight: 0 changes nothing; leave it out if a failure is a fault")
        if self.timeout > self.interval and self.script is not None:
            raise ValueError("timeout: it is above the interval")
        for path in (self.script[0] if self.script else None, self.file):
            if path is not None and not path.startswith("/"):
                raise ValueError(f'{named[0]}: "{path}" is not a whole path, from the root')
        self._check_route()

    def _check_route(self) -> None:
        if self.route is not None and self.route != "default":
            try:
                ip_network(self.route)
            except ValueError:
                raise ValueError(f'route: "{self.route}" is no network') from None

    @property
    def kind(self) -> str:
        """Which of its keys it names."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def name(self) -> str:
        """How people call it: `interface eth1`, `script /usr/local/bin/uplink`."""
        value = self.script[0] if self.script else getattr(self, self.kind)
        return f"{self.kind} {value}"

    @property
    def network(self) -> IPv4Network | IPv6Network | None:
        """The destination of the route; for `default`, that of IPv4."""
        if self.route is None:
            return None
        return ip_network("0.0.0.0/0" if self.route == "default" else self.route)
