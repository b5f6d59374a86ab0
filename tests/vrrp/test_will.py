"""Who is believed that it has taken over from a director that leaves."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.vrrp.stories import settings
from vrrp import authentication
from vrrp.authentication import sequence_at
from vrrp.config import RouterSettings
from vrrp.events import Up
from vrrp.keys import HmacKey
from vrrp.machine import Machine
from vrrp.member import will_of
from vrrp.packet import TTL, Advertisement, Datagram, PacketError, Rejection, encode, group_for
from vrrp.will import _Handover, _handover

PEER = IPv4Address("192.0.2.12")
KEY = HmacKey(1, "0f" * 32)


def leaving(configured: RouterSettings) -> _Handover:
    machine = Machine(configured)
    machine.handle(Up(IPv4Address("192.0.2.11")), 0.0)
    return _handover(will_of(machine))


def advert(*, key: HmacKey | None = None, ago_s: float = 0.0, priority: int = 100) -> Datagram:
    """What the peer says, signed or not."""
    addresses = tuple(address.ip for address in settings().addresses)
    said = Advertisement(
        version=3, vrid=51, priority=priority, interval_cs=100, addresses=addresses
    )
    payload, to = encode(said, PEER), group_for(PEER)
    if key is not None:
        sequence = sequence_at(time.time_ns() - int(ago_s * 1e9))
        payload = authentication.seal(payload, PEER, to, key=key, sequence=sequence)
    return Datagram(PEER, to, TTL, payload)


@pytest.mark.asyncio
async def test_a_peer_that_advertises_has_taken_over() -> None:
    handover = leaving(settings())
    handover.hear(advert(priority=0))
    assert not handover.taken_over.is_set()
    handover.hear(advert())
    assert handover.taken_over.is_set()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("datagram", "cause"),
    [
        (advert(), Rejection.AUTHENTICATION),
        (advert(key=HmacKey(1, "aa" * 32)), Rejection.AUTHENTICATION),
        (advert(key=KEY, ago_s=600.0), Rejection.REPLAY),
    ],
    ids=["unsigned", "forged", "recorded long ago"],
)
async def test_with_keys_only_the_peer_itself_is_believed(
    datagram: Datagram, cause: Rejection
) -> None:
    handover = leaving(replace(settings(), hmac_keys=(KEY,)))
    with pytest.raises(PacketError) as refused:
        handover.hear(datagram)
    assert refused.value.cause is cause
    assert not handover.taken_over.is_set()
    handover.hear(advert(key=KEY))
    assert handover.taken_over.is_set()


@pytest.mark.asyncio
async def test_while_keys_are_introduced_an_unsigned_peer_is_believed() -> None:
    handover = leaving(replace(settings(), hmac_keys=(KEY,), hmac_required=False))
    handover.hear(advert())
    assert handover.taken_over.is_set()
