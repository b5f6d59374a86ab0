"""The journal on a real file: order, bounds, and a disk that refuses."""

import asyncio
import json
from pathlib import Path

from hadirector import limits
from hadirector.journal import Journal


def test_events_are_kept_in_order_and_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.ndjson", clock=lambda: 12.5)
    journal.add("server", "198.51.100.21:8080 is down", subject="web", reason="l4-refused")
    journal.add("quorum", "web has lost its quorum")
    assert [event.kind for event in journal.newest(10)] == ["server", "quorum"]
    assert [event.kind for event in journal.newest(1)] == ["quorum"]
    assert journal.newest(0) == []
    lines = (tmp_path / "journal.ndjson").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "kind": "server",
        "sentence": "198.51.100.21:8080 is down",
        "at": 12.5,
        "subject": "web",
        "details": {"reason": "l4-refused"},
    }


def test_memory_is_bounded() -> None:
    journal = Journal(None)
    for number in range(limits.JOURNAL_EVENTS_MAX + 5):
        journal.add("server", str(number))
    assert len(journal.newest(10**6)) == limits.JOURNAL_EVENTS_MAX
    assert journal.newest(1)[0].sentence == str(limits.JOURNAL_EVENTS_MAX + 4)


def test_a_full_file_is_set_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.ndjson"
    journal = Journal(path, file_bytes_max=200)
    for number in range(10):
        journal.add("server", f"event {number}")
    assert path.stat().st_size <= 200
    assert (tmp_path / "journal.ndjson.1").exists()
    assert "event 9" in path.read_text()


def test_an_unwritable_file_is_said_once_and_costs_no_event(tmp_path: Path) -> None:
    path = tmp_path / "directory-that-comes-later" / "journal.ndjson"
    journal = Journal(path)
    journal.add("server", "first")
    journal.add("server", "second")
    sentences = [event.sentence for event in journal.newest(10)]
    assert sentences == ["first", f"{path} cannot be written: No such file or directory", "second"]
    assert journal.trouble is not None
    path.parent.mkdir()
    journal.add("server", "third")
    assert journal.trouble is None
    assert journal.newest(1)[0].sentence == f"{path} is written again"
    assert "third" in path.read_text()


def test_a_restart_hides_no_history(tmp_path: Path) -> None:
    path = tmp_path / "journal.ndjson"
    before = Journal(path)
    for number in range(limits.JOURNAL_EVENTS_MAX + 5):
        before.add("server", f"event {number}", subject="web", number=number)
    after = Journal(path)
    assert after.newest(10**6) == before.newest(10**6)
    after.add("process", "the director process was killed by SIGKILL")
    assert [event.kind for event in after.newest(2)] == ["server", "process"]


def test_a_broken_journal_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "journal.ndjson"
    Journal(path).add("server", "whole")
    whole = path.read_bytes()
    path.write_bytes(b'lf a line"}\n5\n[]\n{"kind": "server"}\n\xff\n' + whole + b'{"kind": "ser')
    assert [event.sentence for event in Journal(path).newest(10)] == ["whole"]


def test_a_journal_that_cannot_be_read_stops_no_start(tmp_path: Path) -> None:
    (tmp_path / "journal.ndjson").mkdir()
    journal = Journal(tmp_path / "journal.ndjson")
    journal.add("process", "starts")
    assert journal.trouble is not None
    assert [event.kind for event in journal.newest(10)] == ["process", "journal"]


def test_what_is_told_late_keeps_its_time() -> None:
    journal = Journal(None, clock=lambda: 50.0)
    journal.add("process", "the director process was killed", at=12.5)
    assert journal.newest(1)[0].at == 12.5


def test_the_lines_of_one_turn_are_written_before_the_next(tmp_path: Path) -> None:
    path, count = tmp_path / "journal.ndjson", 2 * limits.JOURNAL_LINES_AT_ONCE_MAX + 5

    async def turns() -> list[int]:
        journal, written = Journal(path), []
        for wave in range(2):
            for number in range(count):
                journal.add("server", f"event {wave * count + number}")
            written.append(len(path.read_text().splitlines()))
            await asyncio.sleep(0)
            written.append(len(path.read_text().splitlines()))
            path.rename(path.with_suffix(f".{wave}"))  # as logrotate does
        return written

    assert asyncio.run(turns()) == [count - 5, count] * 2
    lines = [path.with_suffix(f".{wave}").read_text().splitlines() for wave in range(2)]
    told = [json.loads(line)["sentence"] for line in (*lines[0], *lines[1])]
    assert told == [f"event {number}" for number in range(2 * count)]
