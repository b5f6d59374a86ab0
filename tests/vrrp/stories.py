"""Short words for telling stories about machines and groups."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface

from vrrp.config import RouterSettings
from vrrp.events import Changed, Effect, Heard, Send
from vrrp.packet import Advertisement

OURS = IPv4Address("192.0.2.11")
THEIRS = IPv4Address("192.0.2.12")


def settings(
    name: str = "front",
    *,
    vrid: int = 51,
    priority: int = 100,
    advertise: float = 1.0,
    address: str = "192.0.2.100/24",
    group: str | None = None,
    preempt: bool = True,
) -> RouterSettings:
    return RouterSettings(
        name=name,
        vrid=vrid,
        interface="eth0",
        advertise=advertise,
        addresses=(IPv4Interface(address),),
        group=group,
        preempt=preempt,
        priority=priority,
    )


def heard(
    priority: int,
    source: IPv4Address = THEIRS,
    *,
    interval_cs: int = 100,
    address: str = "192.0.2.100",
    vrid: int = 51,
) -> Heard:
    packet = Advertisement(
        vrid=vrid,
        priority=priority,
        interval_cs=interval_cs,
        addresses=(IPv4Address(address),),
    )
    return Heard(packet, source)


def kinds(effects: Iterable[Effect]) -> list[str]:
    """The names of the effects, in order."""
    return [type(effect).__name__ for effect in effects]


def sent(effects: Iterable[Effect]) -> list[int]:
    """The priorities that were advertised."""
    return [effect.advertisement.priority for effect in effects if isinstance(effect, Send)]


def reasons(effects: Iterable[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Changed)]
