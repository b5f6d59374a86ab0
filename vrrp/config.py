"""What an operator may set for a virtual router.

Plain frozen dataclasses: the bounds, units and descriptions stand in the annotations, so that a
configuration loader can enforce them and a reference page can be written from them, while this
package needs neither. What an annotation cannot say is checked in `__post_init__` with ValueError.

This module never reads a file and never fills in a value the operator did not write, except the
defaults shown here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen, Unit, doc

Seconds = Annotated[float, Unit("s")]
"""A duration; loaders accept it with its unit, as in `500ms` or `2s`."""

INTERFACE_NAME_MAX = 15
"""Linux: IFNAMSIZ less the closing zero."""


class ChecksumChoice(StrEnum):
    """Which form of the version 3 checksum to send; both are always accepted."""

    FOLLOW = "follow"
    PSEUDO_HEADER = "pseudo-header"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualRouter:
    """One virtual router: a VRID on an interface, and the addresses that move with it."""

    name: Annotated[
        str, MinLen(1), doc("Name of the virtual router, shown in status and events. Unique.")
    ]
    vrid: Annotated[
        int,
        Ge(1),
        Le(255),
        doc("Virtual router identifier. The same on both directors, unique on the link."),
    ]
    interface: Annotated[
        str,
        MinLen(1),
        MaxLen(INTERFACE_NAME_MAX),
        doc("Network interface on which advertisements are sent and the addresses live."),
    ]
    advertise: Annotated[
        Seconds,
        Ge(0.01),
        Le(40.95),
        doc("Time between advertisements, in steps of 10 ms. The peer notices after three."),
    ] = 1.0
    addresses: Annotated[
        tuple[IPv4Interface, ...],
        MinLen(1),
        MaxLen(255),
        doc("Virtual addresses with their prefix length, in the same order on both directors."),
    ]
    group: Annotated[
        str | None,
        doc("Virtual routers with the same group change together, as both sides of NAT must."),
    ] = None
    preempt: Annotated[
        bool,
        doc("Whether a director of higher priority takes over from a working active one."),
    ] = True
    preempt_delay: Annotated[
        Seconds,
        Ge(0),
        Le(3600),
        doc("How long a working active director of lower priority is left in office first."),
    ] = 0.0
    checksum: Annotated[
        ChecksumChoice,
        doc("Form of the checksum sent: follow the peer's, pseudo-header, or plain (RFC 9568)."),
    ] = ChecksumChoice.FOLLOW

    def __post_init__(self) -> None:
        centiseconds = self.advertise * 100
        if abs(centiseconds - round(centiseconds)) > 1e-6:
            raise ValueError(
                f"advertise: {self.advertise * 1000:g}ms cannot be sent; VRRP counts in 10ms steps"
            )
        if self.preempt_delay and not self.preempt:
            raise ValueError("preempt_delay: nothing is delayed, since preempt is false")
        if len({address.ip for address in self.addresses}) != len(self.addresses):
            raise ValueError("addresses: the same address stands in the list twice")

    @property
    def interval_cs(self) -> int:
        """The advertisement interval as it goes on the wire, in centiseconds."""
        return round(self.advertise * 100)

    @property
    def plain_addresses(self) -> tuple[IPv4Address, ...]:
        """The virtual addresses without their prefix, as advertisements carry them."""
        return tuple(address.ip for address in self.addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings(VirtualRouter):
    """A virtual router as one particular director runs it."""

    priority: Annotated[int, Ge(1), Le(255), doc("Priority of this director; 255: it owns them.")]
    source: Annotated[
        IPv4Address | None,
        doc("Sender of advertisements; none: the interface's first address that is not virtual."),
    ] = None

    @classmethod
    def of(
        cls, router: VirtualRouter, *, priority: int, source: IPv4Address | None = None
    ) -> RouterSettings:
        """Return `router` as a director of this priority runs it."""
        values = {field.name: getattr(router, field.name) for field in fields(VirtualRouter)}
        return cls(**values, priority=priority, source=source)

    @property
    def identity(self) -> tuple[str, int, str, str | None]:
        """What makes it this virtual router; everything else can change while it runs."""
        return self.name, self.vrid, self.interface, self.group
