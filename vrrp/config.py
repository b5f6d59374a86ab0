"""What an operator may set for a virtual router.

Plain frozen dataclasses: the bounds, units and descriptions stand in the annotations, so that a
configuration loader can enforce them and a reference page can be written from them, while this
package needs neither. What an annotation cannot say is checked in `__post_init__` with ValueError.

This module never reads a file and never fills in a value the operator did not write, except the
defaults shown here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen, Unit, doc

from vrrp import contradictions
from vrrp.choices import ChecksumChoice, OnLoss, Scope
from vrrp.hooks import Hook
from vrrp.keys import HmacKey
from vrrp.packet import PASSWORD_LENGTH, PRIORITY_OWNER, TTL, IPAddress
from vrrp.paths import Path, PolicyRule, Route
from vrrp.tracked import Tracker
from vrrp.virtual_mac import default_name, hardware_address_of

IPInterface = IPv4Interface | IPv6Interface

Seconds = Annotated[float, Unit("s")]
"""A duration; loaders accept it with its unit, as in `500ms` or `2s`."""

INTERFACE_NAME_MAX = 15
"""Linux: IFNAMSIZ less the closing zero."""
HMAC_KEYS_MAX = 8
PEERS_MAX = 16
"""Each advertisement is sent once for each of them."""


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
    version: Annotated[
        int,
        Ge(2),
        Le(3),
        doc("VRRP version: 3 (RFC 9568), or 2 (RFC 3768, IPv4 only) next to older routers."),
    ] = 3
    advertise: Annotated[
        Seconds,
        Ge(0.01),
        Le(255.0),
        doc(
            "Time between advertisements. The peer notices after three. Version 3: up to 40.95s, "
            "in steps of 10 ms; version 2: whole seconds, the same on both directors."
        ),
    ] = 1.0
    addresses: Annotated[
        tuple[IPInterface, ...],
        MinLen(1),
        MaxLen(255),
        doc(
            "Virtual addresses with their prefix length, in the same order on both directors. All "
            "IPv4 or all IPv6; of IPv6 the first one is link-local, such as `fe80::100/64`."
        ),
    ]
    password: Annotated[
        str | None,
        MinLen(1),
        MaxLen(PASSWORD_LENGTH),
        doc(
            "Version 2: the simple password, up to 8 characters. It is sent as it is: good against "
            "mistakes, not against attackers."
        ),
    ] = field(default=None, repr=False)
    hmac_keys: Annotated[
        tuple[HmacKey, ...],
        MinLen(1),
        MaxLen(HMAC_KEYS_MAX),
        doc(
            "Keys for advertisements that nobody can forge or send again, as keepalived 2.4.2 and "
            "later know them: `NUMBER:HEX`, 32 to 64 bytes. The first one signs, every one "
            "verifies. To replace a key without a gap: add the new one at the end on all "
            "directors, then put it first, then remove the old one."
        ),
    ] = ()
    hmac_required: Annotated[
        bool,
        doc(
            "Whether advertisements without a keyed hash are refused. Write false while some "
            "directors have no keys yet."
        ),
    ] = True
    hmac_window: Annotated[
        Seconds,
        Ge(1.0),
        Le(300.0),
        doc(
            "How far the directors' clocks may be apart where keys are used. What is older, or "
            "came before, is refused."
        ),
    ] = 30.0
    peers: Annotated[
        tuple[IPAddress, ...],
        MinLen(1),
        MaxLen(PEERS_MAX),
        doc(
            "Addresses of the directors, for unicast: advertisements go to these and not by "
            "multicast, and only theirs count. The list may be the same on both directors: each "
            "leaves itself out."
        ),
    ] = ()
    min_ttl: Annotated[
        int,
        Ge(1),
        Le(TTL),
        doc(
            "Unicast: the least TTL (hop limit) that an advertisement of a peer may have. 255: no "
            "router stands between the directors; one less for each that does. keepalived 2.2 "
            "sends 64 over IPv6."
        ),
    ] = TTL
    max_ttl: Annotated[
        int,
        Ge(1),
        Le(TTL),
        doc("Unicast: the greatest TTL, for peers that are known to send less than 255."),
    ] = TTL
    excluded: Annotated[
        tuple[IPInterface, ...],
        MaxLen(1024),
        doc(
            "Addresses, of either family, that move with the others but are not in the"
            " advertisements: more than those can carry, or than another director should see."
        ),
    ] = ()
    routes: Annotated[
        tuple[Route, ...], MaxLen(256), doc("Routes that are there while the addresses are.")
    ] = ()
    rules: Annotated[
        tuple[PolicyRule, ...],
        MaxLen(256),
        doc("Rules of policy routing that are there while the addresses are."),
    ] = ()
    scope: Annotated[
        Scope,
        doc(
            "Scope of the IPv4 addresses on the interface. One that differs from the scope of the"
            " host's own address needs another prefix length, such as /32."
        ),
    ] = Scope.GLOBAL
    label: Annotated[
        str | None,
        MinLen(1),
        MaxLen(INTERFACE_NAME_MAX),
        doc("Label of the IPv4 addresses for older tools: the interface, a colon and a word."),
    ] = None
    on_loss: Annotated[
        OnLoss,
        doc(
            "When another program deletes an address: `restore` it, or `yield` to the other"
            " director (which then keeps it only without `preempt`, or for `preempt_delay`)."
        ),
    ] = OnLoss.RESTORE
    virtual_mac: Annotated[
        bool,
        doc(
            "Whether the addresses are on a macvlan interface with a hardware address of"
            " their own, 00:00:5e:00:01:VRID (IPv6: 00:00:5e:00:02:VRID), which neighbors keep in"
            " their tables when it moves (RFC 9568 section 7.3). The same on both directors."
        ),
    ] = False
    virtual_mac_name: Annotated[
        str | None,
        MinLen(1),
        MaxLen(INTERFACE_NAME_MAX),
        doc("Name of that interface, instead of `vrrp4-VRID` or `vrrp6-VRID`."),
    ] = None
    accept: Annotated[
        bool,
        doc(
            "Whether the director's own programs get what is sent to the addresses. Write false to"
            " let only services have it (IPVS is asked before), and neighbor discovery. Accept_Mode"
            " of RFC 9568; needs Linux 5.12 to be false."
        ),
    ] = True
    announce_count: Annotated[
        int, Ge(1), Le(20), doc("Gratuitous ARP (neighbor advertisements) sent at once, each.")
    ] = 3
    announce_repeat: Annotated[
        Seconds, Ge(0), Le(60), doc("As many again after this time, for who missed them. 0s: none.")
    ] = 5.0
    announce_refresh: Annotated[
        Seconds, Ge(0), Le(86400), doc("And again and again, this far apart. 0s: never.")
    ] = 0.0
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
    track: Annotated[
        tuple[Tracker, ...],
        MaxLen(64),
        doc(
            "What the priority depends on, or the part it takes at all. In a group, the trackers of"
            " each member count for all."
        ),
    ] = ()
    hooks: Annotated[
        tuple[Hook, ...], MaxLen(16), doc("What is run when the state changes, in this order.")
    ] = ()
    checksum: Annotated[
        ChecksumChoice,
        doc("Form of the checksum sent: follow the peer's, pseudo-header, or plain (RFC 9568)."),
    ] = ChecksumChoice.FOLLOW

    def __post_init__(self) -> None:
        contradictions.check(self)

    @property
    def interval_cs(self) -> int:
        """The advertisement interval as it goes on the wire, in centiseconds."""
        return round(self.advertise * 100)

    @property
    def all_addresses(self) -> tuple[IPInterface, ...]:
        """What is held while active: the addresses advertised and those excluded from that."""
        return (*self.addresses, *self.excluded)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The routes and rules that come and go with the addresses, in the order to add them."""
        return (*self.routes, *self.rules)

    @property
    def plain_addresses(self) -> tuple[IPAddress, ...]:
        """The virtual addresses without their prefix, as advertisements carry them."""
        return tuple(address.ip for address in self.addresses)

    @property
    def family(self) -> int:
        """The version of IP, 4 or 6, that it is about and that carries its advertisements."""
        return self.addresses[0].version

    @property
    def device(self) -> str:
        """The interface that the addresses are on: that of the virtual MAC, where there is one."""
        if not self.virtual_mac:
            return self.interface
        return self.virtual_mac_name or default_name(self.vrid, self.family)

    @property
    def hardware_address(self) -> bytes | None:
        """The virtual MAC, six bytes; None: the addresses have that of the interface."""
        return hardware_address_of(self.vrid, self.family) if self.virtual_mac else None

    @property
    def virtual_mac_in_words(self) -> str | None:
        """The virtual MAC as people write it: `00:00:5e:00:01:33`."""
        return None if self.hardware_address is None else self.hardware_address.hex(":")

    @property
    def secret(self) -> bytes | None:
        """The password as it goes on the wire."""
        return None if self.password is None else self.password.encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings(VirtualRouter):
    """A virtual router as one particular director runs it."""

    priority: Annotated[int, Ge(1), Le(255), doc("Priority of this director; 255: it owns them.")]
    source: Annotated[
        IPAddress | None,
        doc("Sender of advertisements; none: the interface's first address that is not virtual."),
    ] = None

    def __post_init__(self) -> None:
        VirtualRouter.__post_init__(self)  # super() does not work in a dataclass with slots
        if self.source is not None and self.source.version != self.family:
            raise ValueError(f"source: advertisements go over IPv{self.family}")
        if self.virtual_mac and self.priority == PRIORITY_OWNER:
            raise ValueError("virtual_mac: the owner (priority 255) has the addresses as its own")

    @classmethod
    def of(
        cls, router: VirtualRouter, *, priority: int, source: IPAddress | None = None
    ) -> RouterSettings:
        """Return `router` as a director of this priority runs it."""
        shared = {item.name: getattr(router, item.name) for item in fields(VirtualRouter)}
        return cls(**shared, priority=priority, source=source)

    @property
    def refused_addresses(self) -> tuple[IPAddress, ...]:
        """Those to which nothing is accepted: none by their owner (RFC 9568 section 6.4.3)."""
        if self.accept or self.priority == PRIORITY_OWNER:
            return ()
        return tuple(address.ip for address in self.all_addresses)

    @property
    def identity(self) -> tuple[str, int, int, str, str, str | None]:
        """What makes it this virtual router; everything else can change while it runs."""
        return self.name, self.vrid, self.family, self.interface, self.device, self.group
