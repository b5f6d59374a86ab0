"""What checks found, on disk: kept, aged, damaged, out of room."""

import json
from pathlib import Path

import pytest

from checkers.health import State
from checkers.memory import Memory
from hadirector import limits
from hadirector.health_store import FILE_NAME, HealthStore
from hadirector.journal import Journal
from hadirector.service_memory import Hold, ServiceMemory, Standing


def memory(**more: object) -> Memory:
    facts: dict[str, object] = {
        "digest": "d",
        "state": State.DOWN,
        "since": 5.0,
        "sentence": "3 failures in a row",
        "passes": 0,
        "failures": 3,
        "held_since": None,
        "passed": 0,
        "failed": 3,
    }
    return Memory(**{**facts, **more})  # type: ignore[arg-type]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def store_of(directory: Path, clock: Clock) -> tuple[HealthStore, Journal]:
    journal = Journal(None)
    return HealthStore(directory, journal, clock=clock), journal


def sentences(journal: Journal) -> list[str]:
    return [event.sentence for event in journal.newest(10)]


def test_what_was_written_comes_back_once(tmp_path: Path) -> None:
    clock = Clock()
    store, _ = store_of(tmp_path, clock)
    assert store.recalled() == {}
    assert store.write({"web/s": memory()}, {}) is None
    again, journal = store_of(tmp_path, clock)
    assert again.recalled() == {"web/s": memory()}
    assert again.recalled() == {}
    assert sentences(journal) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME]


@pytest.mark.parametrize("years", [limits.HEALTH_AGE_MAX_S + 1, -1])
def test_what_is_old_is_not_gone_by_but_who_waits_goes_on_waiting(
    tmp_path: Path, years: float
) -> None:
    clock = Clock()
    waiting = memory(held_since=900.0)
    store_of(tmp_path, clock)[0].write({"web/a": memory(), "web/b": waiting}, {})
    clock.now += years
    store, journal = store_of(tmp_path, clock)
    assert store.recalled() == {"web/b": waiting}
    (sentence,) = sentences(journal)
    assert "1 that wait for manual resume go on waiting" in sentence


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"checks": {}}', '{"at": true, "checks": {}}', "[" * 100_000, "\0"]
)
def test_a_damaged_file_is_told_and_no_reason_not_to_start(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    store, journal = store_of(tmp_path, Clock())
    assert store.recalled() == {}
    (sentence,) = sentences(journal)
    assert "what checks found before is not known" in sentence


def test_one_damaged_check_costs_only_itself(tmp_path: Path) -> None:
    clock = Clock()
    store_of(tmp_path, clock)[0].write({"web/a": memory(), "web/b": memory()}, {})
    whole = json.loads((tmp_path / FILE_NAME).read_text())
    whole["checks"]["web/a"]["state"] = "sideways"
    (tmp_path / FILE_NAME).write_text(json.dumps(whole))
    store, journal = store_of(tmp_path, clock)
    assert set(store.recalled()) == {"web/b"}
    assert "1 of 2 checks cannot be read and begin anew" in sentences(journal)[0]


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    store, journal = store_of(tmp_path / "gone", Clock())
    for _ in range(2):
        trouble = store.write({"web/a": memory()}, {})
        store.tell(trouble)
    assert store.trouble is not None
    assert "cannot be written" in store.trouble
    assert len(sentences(journal)) == 1
    store.tell(None)
    assert store.trouble is None


def test_a_file_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    store_of(tmp_path, clock)[0].write({"web/a": memory()}, {})
    monkeypatch.setattr(limits, "HEALTH_FILE_BYTES_MAX", 20)
    store, journal = store_of(tmp_path, clock)
    assert "larger than anybody writes it" in sentences(journal)[0]
    trouble = store.write({"web/a": memory()}, {})
    assert trouble is not None
    assert "more than anybody reads" in trouble


def services() -> dict[str, ServiceMemory]:
    return {
        "web": ServiceMemory(Standing(False, 5.0), Hold(7.0, ("web/a", "web/b"))),
        "mail": ServiceMemory(Standing(True, 6.0)),
        "dns": ServiceMemory(),
    }


@pytest.mark.parametrize(("passed_s", "comes"), [(1, True), (601, False), (-1, False)])
def test_what_was_decided_of_services_comes_back_once_and_in_time(
    tmp_path: Path, passed_s: float, comes: bool
) -> None:
    clock = Clock()
    store_of(tmp_path, clock)[0].write({}, services())
    clock.now += passed_s
    store, _ = store_of(tmp_path, clock)
    assert store.recalled_services() == (services() if comes else {})
    assert store.recalled_services() == {}


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        {"quorum": []},
        {"quorum": {"met": 1, "since": 5.0}},
        {"quorum": {"met": True, "since": "5"}},
        {"hold": {"since": True, "servers": []}},
        {"hold": {"since": 5.0, "servers": "web/a"}},
        {"hold": {"since": 5.0, "servers": [1]}},
        {"hold": {"since": 5.0, "servers": ["x" * 1001]}},
    ],
)
def test_one_damaged_service_costs_only_itself(tmp_path: Path, damaged: object) -> None:
    clock = Clock()
    store_of(tmp_path, clock)[0].write({"web/a": memory()}, services())
    whole = json.loads((tmp_path / FILE_NAME).read_text())
    whole["services"]["web"] = damaged
    (tmp_path / FILE_NAME).write_text(json.dumps(whole))
    store, journal = store_of(tmp_path, clock)
    assert store.recalled_services().keys() == {"mail", "dns"}
    assert store.recalled().keys() == {"web/a"}
    assert "1 of 3 services cannot be read: their quorums begin anew" in sentences(journal)[0]


def test_a_file_from_before_services_were_kept_is_read(tmp_path: Path) -> None:
    clock = Clock()
    store_of(tmp_path, clock)[0].write({"web/a": memory()}, services())
    whole = json.loads((tmp_path / FILE_NAME).read_text())
    del whole["services"]
    (tmp_path / FILE_NAME).write_text(json.dumps(whole))
    store, journal = store_of(tmp_path, clock)
    assert store.recalled_services() == {}
    assert store.recalled().keys() == {"web/a"}
    assert sentences(journal) == []
