"""`drill list`, `run` and `history`: wrong names, nothing to talk to, nothing to tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadirector.cli.main import main


def test_an_unknown_drill_gets_the_nearest_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    places = ("--runtime-dir", str(tmp_path))
    assert main(["drill", "run", "switchovr", *places]) == 2
    assert 'did you mean "switchover"?' in capsys.readouterr().err


@pytest.mark.parametrize("words", [("list",), ("run", "switchover")])
def test_without_a_daemon_it_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert main(["drill", *words, "--runtime-dir", str(tmp_path)]) == 3
    assert "no daemon answers" in capsys.readouterr().err


def test_a_report_of_unknown_form_is_refused_before_anything_happens(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["drill", "run", "switchover", "--report", "out.pdf", "--runtime-dir", str(tmp_path)]
    assert main(words) == 2
    assert "no report has this suffix" in capsys.readouterr().err


def test_an_empty_history_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["drill", "history", "--state-dir", str(tmp_path)]) == 0
    assert "no drill was run here" in capsys.readouterr().out
