"""Who makes which probe, and what a worker is told: a worker that only listens knows the same."""

import hashlib
import itertools
from collections.abc import Iterable
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import limits
from checkers.base import Target
from checkers.check import Check
from checkers.tcp import TcpOptions
from checkers.wire import Assigned, Drop, Message, Pace, Take, decode, encode
from hadirector.assignments import Ledger, shard_of

CHECK = Check("a", Target(ip_address("10.0.0.1"), 80), TcpOptions())


def digests(number: int) -> list[str]:
    return [hashlib.blake2b(b"%d" % one, digest_size=16).hexdigest() for one in range(number)]


def test_the_shards_are_about_as_large_as_one_another() -> None:
    for shards in (2, 3, 8, 64):
        sizes = [0] * shards
        for digest in digests(20_000):
            sizes[shard_of(digest, shards)] += 1
        even = 20_000 / shards
        assert 0.7 * even < min(sizes) <= max(sizes) < 1.3 * even


def test_of_another_number_of_workers_only_those_of_the_new_or_lost_one_move() -> None:
    for digest in digests(2_000):
        places = [shard_of(digest, shards) for shards in range(1, 17)]
        assert places[0] == 0
        for shards, (before, after) in enumerate(itertools.pairwise(places), 1):
            assert after in (before, shards)


class Listener:
    """A worker that makes nothing, and knows what it was told. Fails for what has no sense."""

    def __init__(self) -> None:
        self.probes: dict[int, Assigned] = {}

    def hear(self, messages: Iterable[Message]) -> None:
        for sent in messages:
            match decode(encode(sent)):
                case Take(probes):
                    self.probes.update({one.number: one for one in probes})
                case Pace(intervals_s):
                    for number, interval_s in intervals_s.items():
                        one = self.probes[number]
                        self.probes[number] = Assigned(number, one.digest, one.check, interval_s)
                case Drop(numbers):
                    for number in numbers:
                        del self.probes[number]

    @property
    def told(self) -> dict[int, tuple[str, float]]:
        return {number: (one.digest, one.interval_s) for number, one in self.probes.items()}


@pytest.mark.timeout(60)  # of a second on a machine that is not busy
@settings(max_examples=50)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["take", "take", "pace", "drop", "tell", "restart"]),
            st.sampled_from(digests(4)),
            st.sampled_from([0.5, 1.0, 2.0]),
        ),
        max_size=20,
    )
)
def test_whatever_happens_the_worker_knows_what_the_ledger_says(
    steps: list[tuple[str, str, float]],
) -> None:
    ledger, worker = Ledger(), Listener()
    used: dict[int, str] = {}
    there: set[str] = set()
    for what, digest, interval_s in steps:
        if what == "take":
            ledger.take(digest, CHECK, interval_s)
            there.add(digest)
        elif what == "pace" and digest in there:
            ledger.pace(digest, interval_s)
        elif what == "drop" and digest in there:
            ledger.drop(digest)
            there.discard(digest)
        elif what == "tell":
            worker.hear(ledger.news())
        elif what == "restart":
            worker = Listener()
            worker.hear(ledger.all())
        for number, one in ledger.probes.items():
            assert used.setdefault(number, one.digest) == one.digest
    worker.hear(ledger.news())
    expected = {number: (one.digest, one.interval_s) for number, one in ledger.probes.items()}
    assert worker.told == expected
    assert {digest for digest, _ in worker.told.values()} == there
    assert not list(ledger.news())


def test_a_pace_that_is_no_news_is_not_told() -> None:
    ledger = Ledger()
    (digest,) = digests(1)
    ledger.take(digest, CHECK, 2.0)
    assert [type(one) for one in ledger.news()] == [Take]
    ledger.pace(digest, 2.0)
    assert not list(ledger.news())
    ledger.pace(digest, 0.5)
    assert list(ledger.news()) == [Pace({1: 0.5})]


def test_many_checks_are_told_in_several_lines() -> None:
    ledger = Ledger()
    for digest in digests(limits.WORKER_TAKES_AT_ONCE_MAX + 1):
        ledger.take(digest, CHECK, 2.0)
    sizes = [len(one.probes) for one in ledger.all() if isinstance(one, Take)]
    assert sizes == [limits.WORKER_TAKES_AT_ONCE_MAX, 1]
