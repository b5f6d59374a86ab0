"""The history of drills: bounded, and a torn line costs one record."""

from pathlib import Path

import pytest

from hadirector.drill import history


def record(number: int) -> dict[str, object]:
    return {"at": float(number), "node": "lb1", "file": "pair.yaml", "result": {"n": number}}


def test_records_are_read_in_their_order_and_the_oldest_go(tmp_path: Path) -> None:
    assert history.read(tmp_path) == []
    for number in range(history.DRILLS_KEPT_MAX + 3):
        history.add(tmp_path, record(number))
    kept = [each["at"] for each in history.read(tmp_path)]
    assert kept == [float(n) for n in range(3, history.DRILLS_KEPT_MAX + 3)]


@pytest.mark.parametrize("torn", [b'{"at": 1, "no', b"\x00\xff", b"[]\n", b'{"at": 1}\n'])
def test_a_torn_line_costs_that_record_only(tmp_path: Path, torn: bytes) -> None:
    history.add(tmp_path, record(1))
    with (tmp_path / history.FILE).open("ab") as file:
        file.write(torn)
    history.add(tmp_path, record(2))
    assert [each["at"] for each in history.read(tmp_path)] == [1.0, 2.0]


def test_one_drill_at_a_time(tmp_path: Path) -> None:
    with history.alone(tmp_path), pytest.raises(history.BusyError), history.alone(tmp_path):
        pass
    with history.alone(tmp_path):
        pass
