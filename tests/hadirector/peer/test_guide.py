"""What a director that has yielded tells its elections, and how that ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hadirector.peer.agreed import Agreed, AgreedStore, Paused
from hadirector.peer.guide import PENDING_S, Guide
from tests.hadirector.test_director import REPORT
from vrrp.events import State
from vrrp.messages import Cap, Guidance, Reannounce

CAP = Guidance(caps={"front": Cap(at_most=252, because="so it was agreed")})
NONE = Guidance()


class Told:
    """A guide, and what came of it."""

    def __init__(self, directory: Path) -> None:
        self.said: list[Guidance | Reannounce] = []
        self.notes: list[str] = []
        self.store = AgreedStore(directory)
        self.guide = Guide(self.store, self.said.append, self.notes.append)

    def look(self, state: State, now: float) -> None:
        self.guide.look({"front": replace(REPORT, state=state)}, now)


def test_a_cap_nobody_follows_is_taken_back(tmp_path: Path) -> None:
    one = Told(tmp_path)
    one.look(State.ACTIVE, 0.0)
    one.guide.give_way({"front": 252}, "so it was agreed", 1.0)
    one.look(State.ACTIVE, 1.0 + PENDING_S - 0.1)
    assert one.said == [NONE, CAP]
    one.look(State.ACTIVE, 1.0 + PENDING_S)
    assert one.said[-1] == NONE
    assert one.notes == ["front: nobody took it over: our own priority counts again"]
    assert not Told(tmp_path).store.now.yielded


def test_who_has_stepped_back_stays_lower_over_a_restart_until_active_again(
    tmp_path: Path,
) -> None:
    one = Told(tmp_path)
    one.guide.give_way({"front": 252}, "so it was agreed", 0.0)
    one.look(State.BACKUP, 1.0)
    one.look(State.BACKUP, 100.0)
    one.look(State.FAULT, 101.0)
    again = Told(tmp_path)
    again.look(State.BACKUP, 0.0)
    assert again.said == [CAP]
    again.look(State.ACTIVE, 5.0)
    assert again.said == [CAP, NONE]
    assert again.notes == ["front: active again: our own priority counts again"]
    assert Told(tmp_path).store.now == Agreed()


def test_the_role_given_back_ends_it(tmp_path: Path) -> None:
    one = Told(tmp_path)
    one.guide.give_way({"front": 252}, "so it was agreed", 0.0)
    one.look(State.BACKUP, 1.0)
    one.guide.take_back(["front"])
    assert one.said == [CAP, NONE]
    assert not one.notes


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "pair.json").write_text('{"paused": 7}')
    store = AgreedStore(tmp_path)
    assert store.now == Agreed()
    assert "pair.json" in str(store.trouble)
    paused = Agreed(paused=Paused(since=1.0, by="root"))
    store.hold(paused)
    assert store.trouble is None
    assert AgreedStore(tmp_path).now == paused
    nowhere = AgreedStore(tmp_path / "missing")
    nowhere.hold(paused)
    assert "cannot be written" in str(nowhere.trouble)
