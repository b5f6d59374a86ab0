"""What a virtual router takes for an advertisement of its peers, and why not."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.vrrp.stories import OURS, THEIRS, heard, settings
from vrrp.config import RouterSettings
from vrrp.packet import MULTICAST_IPV4, Advertisement, Datagram, PacketError, Rejection, encode
from vrrp.reception import accept

MULTICAST = settings()
UNICAST = replace(MULTICAST, peers=(OURS, THEIRS), min_ttl=250, max_ttl=254)
OLD = replace(MULTICAST, version=2, password="s3cretlo")


def datagram(
    advertisement: Advertisement,
    *,
    source: IPv4Address = THEIRS,
    destination: IPv4Address = MULTICAST_IPV4,
    ttl: int = 255,
) -> Datagram:
    return Datagram(source, destination, ttl, encode(advertisement, source, destination))


def old(password: bytes | None = b"s3cretlo", interval_cs: int = 100) -> Advertisement:
    modern = heard(200).advertisement
    return replace(modern, version=2, password=password, interval_cs=interval_cs)


NEW = heard(200).advertisement


def test_what_is_right_is_heard() -> None:
    assert accept(datagram(NEW), MULTICAST) == heard(200)
    by_unicast = datagram(NEW, destination=OURS, ttl=252)
    assert accept(by_unicast, UNICAST) == heard(200)
    assert accept(datagram(old()), OLD).advertisement == old()


@pytest.mark.parametrize(
    ("packet", "router", "cause", "sentence"),
    [
        (datagram(NEW, ttl=254), MULTICAST, Rejection.TTL, "not sent on this link"),
        (datagram(NEW, destination=OURS), MULTICAST, Rejection.DESTINATION, "multicast is spoken"),
        (datagram(old()), MULTICAST, Rejection.VERSION, "VRRP version 2; version 3 is spoken"),
        (datagram(NEW), OLD, Rejection.VERSION, "VRRP version 3; version 2 is spoken"),
        (datagram(NEW, ttl=252), UNICAST, Rejection.DESTINATION, "unicast is spoken here"),
        (
            datagram(NEW, source=THEIRS + 1, destination=OURS, ttl=252),
            UNICAST,
            Rejection.SOURCE,
            "none of the configured peers",
        ),
        (
            datagram(NEW, destination=OURS, ttl=249),
            UNICAST,
            Rejection.TTL,
            "TTL 249, where 250 to 254 is accepted",
        ),
        (datagram(NEW, destination=OURS, ttl=255), UNICAST, Rejection.TTL, "TTL 255"),
        (datagram(old(None)), OLD, Rejection.AUTHENTICATION, "it has no password"),
        (datagram(old(b"other")), OLD, Rejection.AUTHENTICATION, "it has another password"),
        (
            datagram(old()),
            replace(OLD, password=None),
            Rejection.AUTHENTICATION,
            "it has a password, and none is configured here",
        ),
        (datagram(old(interval_cs=300)), OLD, Rejection.INTERVAL, "every 3 s, ours every 1 s"),
    ],
)
def test_what_is_not_is_refused_with_its_cause(
    packet: Datagram, router: RouterSettings, cause: Rejection, sentence: str
) -> None:
    with pytest.raises(PacketError, match=sentence) as refusal:
        accept(packet, router)
    assert refusal.value.cause is cause
    assert "s3cret" not in str(refusal.value)


def test_another_interval_is_accepted_in_version_3() -> None:
    assert accept(datagram(replace(NEW, interval_cs=50)), MULTICAST).advertisement.interval_cs == 50
