"""Two thousand worlds keep every promise; and a world without one of our rules does not.

The seeds are fixed, so that a failure is a failure for everybody: `python -m tests.simulation
--seed N` tells it. Other seeds are run by `python -m tests.simulation --worlds N`. They live in
processes of their own, one for each processor.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.simulation import options, story
from tests.simulation.runs import Batch, live, run_batch
from tests.simulation.shrink import shrink
from tests.simulation.world import World
from vrrp import authentication, priority
from vrrp.authentication import Sequences
from vrrp.config import RouterSettings
from vrrp.events import Effect, Heard, State
from vrrp.group import Group
from vrrp.machine import Machine
from vrrp.packet import AUTHENTICATION_BLOCK_LENGTH, Datagram
from vrrp.transitions import Trigger

PORTION = 80
AHEAD = 4
"""Portions under way, or waiting for a processor."""
WORLDS = 2000


@pytest.fixture(scope="module")
def lived() -> Iterator[Callable[[int], Batch]]:
    """What came of a portion; from the first question on, the portions after it live as well."""
    begun: dict[int, Future[Batch]] = {}
    # Not forked: what else this process does (threads, sockets) is none of a world's business.
    pool = ProcessPoolExecutor(os.cpu_count() or 1, multiprocessing.get_context("spawn"))

    def portion(first: int) -> Batch:
        for ahead in range(first, min(first + AHEAD * PORTION, WORLDS), PORTION):
            if ahead not in begun:
                begun[ahead] = pool.submit(run_batch, range(ahead, ahead + PORTION))
        return begun[first].result()

    try:
        yield portion
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("first", range(0, WORLDS, PORTION))
def test_every_promise_is_kept(first: int, lived: Callable[[int], Batch]) -> None:
    batch = lived(first)
    told = [f"{text}\n  python -m tests.simulation --seed {seed}" for seed, text in batch.failures]
    assert not told, "\n".join(told)
    assert batch.changes > 10 * PORTION  # they are no worlds in which nothing happens


def test_a_world_is_the_same_each_time() -> None:
    drawn = options.draw(11)
    lives = [World(drawn, story.draw(drawn), record=True).run().timeline for _ in range(2)]
    assert lives[0] == lives[1]
    assert len(lives[0]) > 10


def first_failure(seeds: range) -> tuple[int, str]:
    """The first world that breaks a promise, and which."""
    for seed in seeds:
        violation = live(seed).violation
        if violation is not None:
            return seed, violation.invariant
    pytest.fail(f"no promise is broken in worlds {seeds}")


original_judge = Machine._judge
original_configure = Machine.configure
original_remove = Group.remove


def never_yields(self: Machine, heard: Heard, now: float) -> Trigger | None:
    return None if self.state is State.ACTIVE else original_judge(self, heard, now)


def ignores_preempt(self: Machine, now: float) -> bool:
    del self, now
    return True


def never_late(self: Machine, now: float) -> bool:
    del self, now
    return False


def goodbye_for_one(
    self: Group, router: str, sentence: str, now: float, *, others_stay: bool
) -> list[Effect]:
    del others_stay
    return original_remove(self, router, sentence, now)


def tells_no_other_member(self: Group, router: str, heard: Heard, now: float) -> list[Effect]:
    machine = self._members[router]
    return [] if self._is_undecided_tie(machine, heard, now) else machine.handle(heard, now)


def every_member_for_itself(self: Group, effects: list[Effect], now: float) -> list[Effect]:
    del self, effects, now
    return []


def trusting(datagram: Datagram, keys: object) -> int | None:
    """Takes the number of whatever comes with a block, whoever has signed it."""
    del keys
    block = datagram.payload[-AUTHENTICATION_BLOCK_LENGTH:]
    return int.from_bytes(block[4:12])


def keeps_its_timer(self: Machine, settings: RouterSettings, now: float) -> None:
    deadline = self._deadline
    original_configure(self, settings, now)
    self._deadline = deadline


PLANTED: list[tuple[object, str, object, set[str]]] = [
    (Machine, "_judge", never_yields, {"two-active", "healed"}),
    (Machine, "_preempts", ignores_preempt, {"usurped"}),
    (Machine, "is_late", never_late, {"late"}),
    (Machine, "is_left_by", lambda *_: True, {"usurped"}),
    (Machine, "is_left_by", lambda *_: False, {"silent"}),
    (Machine, "configure", keeps_its_timer, {"tardy"}),
    (Machine, "active_down_s", property(lambda _: 3600.0), {"timer"}),
    (Machine, "active_down_s", property(lambda _: 0.001), {"usurped"}),
    (Group, "_move_together", every_member_for_itself, {"split"}),
    (Group, "_hear", tells_no_other_member, {"silent"}),
    (Group, "hold", lambda *_: None, {"usurped"}),
    (Group, "remove", goodbye_for_one, {"goodbye"}),
    (authentication, "verify", trusting, {"forged"}),
    (Sequences, "check", lambda *_, **__: None, {"replay"}),
    (authentication, "sequence_at", lambda wall_ns: -wall_ns % (1 << 64), {"refused", "replay"}),
    (priority, "_clamp", lambda total: total, {"weights"}),
]


@pytest.mark.parametrize(("of", "rule", "broken", "invariants"), PLANTED)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, of: object, rule: str, broken: object, invariants: set[str]
) -> None:
    monkeypatch.setattr(of, rule, broken)
    assert first_failure(range(2000))[1] in invariants


def test_failing_worlds_are_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "is_late", never_late)
    lengths: list[int] = []
    seed = -1
    while len(lengths) < 3:
        seed, invariant = first_failure(range(seed + 1, 2000))
        drawn = options.draw(seed)
        told = story.draw(drawn)
        small = shrink(drawn, told, World(drawn, told).run())
        assert len(small[0].hosts) == 2
        violation = World(*small).run().violation
        assert violation is not None
        assert violation.invariant == invariant
        lengths.append(len(small[1]))
    assert sorted(lengths)[1] <= 2, lengths  # a few need more than the usual two events
