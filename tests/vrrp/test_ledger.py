"""Counters by peer and warnings, both with a bound."""

from vrrp.ledger import OTHERS, PEERS_MAX, WARNED_MAX, Ledger


def test_what_a_peer_causes_is_counted_for_it_too() -> None:
    ledger = Ledger()
    ledger.count("sent")
    ledger.count("rejected-ttl", "192.0.2.12")
    ledger.count("rejected-ttl", "192.0.2.13")
    assert ledger.counters == {"sent": 1, "rejected-ttl": 2}
    assert ledger.by_peer() == {
        "192.0.2.12": {"rejected-ttl": 1},
        "192.0.2.13": {"rejected-ttl": 1},
    }


def test_invented_peers_are_counted_together() -> None:
    ledger = Ledger()
    for number in range(PEERS_MAX + 10):
        ledger.count("rejected-ttl", f"192.0.2.{number}")
    assert len(ledger.by_peer()) == PEERS_MAX + 1
    assert ledger.by_peer()[OTHERS] == {"rejected-ttl": 10}


def test_each_cause_is_told_once_per_peer_and_not_without_end() -> None:
    ledger = Ledger()
    assert ledger.warn("rejected-ttl", "192.0.2.12")
    assert not ledger.warn("rejected-ttl", "192.0.2.12")
    assert ledger.warn("rejected-version", "192.0.2.12")
    told = [ledger.warn("rejected-ttl", f"peer {number}") for number in range(WARNED_MAX)]
    assert told.count(True) == WARNED_MAX - 2
