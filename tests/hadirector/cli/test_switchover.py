"""`switchover`, `pause` and `resume` against a daemon: what is asked, what is said, exit codes."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hadirector.api.app import serve
from hadirector.cli.client import SOCKET_NAME
from hadirector.cli.main import main
from hadirector.cli.switchover import _time
from hadirector.router_answers import Json
from tests.hadirector.cli.daemon import Prepared, answering, command

DONE: Json = {
    "done": True,
    "sentence": "front from lb1 to lb2: done",
    "missing": [],
    "forcible": False,
    "phases": {"taken_ms": 5.1},
}
REFUSED: Json = {**DONE, "done": False, "missing": ["lb2 is paused"], "forcible": True}


class Pair:
    """Says what was prepared, and remembers what was asked."""

    def __init__(self, answer: Json) -> None:
        self.answer = answer
        self.asked: list[object] = []

    async def switchover(self, to: str, *, force: bool, at: float | None, by: str) -> Json:
        self.asked = [to, force, at, by]
        return self.answer

    def cancel(self, by: str) -> Json:
        self.asked = ["cancel", by]
        return self.answer

    def pause(self, by: str) -> Json:
        self.asked = ["pause", by]
        return self.answer

    def resume(self, by: str) -> Json:
        self.asked = ["resume", by]
        return self.answer


async def told(directory: Path, pair: Pair, *words: str) -> int:
    end = await serve(Prepared(), directory / SOCKET_NAME, pair)
    try:
        return await command(directory, *words)
    finally:
        await end()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["switchover"], ["", False, None, "root for alice"]),
        (["switchover", "--to", "lb2", "--force"], ["lb2", True, None, "root for alice"]),
        (["switchover", "--cancel"], ["cancel", "root for alice"]),
        (["pause"], ["pause", "root for alice"]),
        (["resume"], ["resume", "root for alice"]),
    ],
)
async def test_each_verb_gives_its_order(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    asked: list[object],
) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    pair = Pair(DONE)
    assert await told(tmp_path, pair, *words) == 0
    assert pair.asked == asked
    assert "done" in capsys.readouterr().out
    assert await told(tmp_path, pair, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == DONE


@pytest.mark.asyncio
async def test_a_refusal_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await told(tmp_path, Pair(REFUSED), "switchover") == 1
    assert capsys.readouterr().out == "refused:\n  lb2 is paused\n--force overrides it\n"


@pytest.mark.parametrize("more", [["--to", "lb2"], ["--at", "03:00"], ["--force"]])
def test_a_cancellation_takes_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main(["switchover", "--cancel", *more, "--runtime-dir", str(tmp_path)]) == 2
    assert "--cancel forgets the one that is planned" in capsys.readouterr().err


@pytest.mark.asyncio
async def test_a_director_without_a_pair_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path, Prepared()):
        for words in (["switchover"], ["switchover", "--cancel"], ["pause"], ["resume"]):
            assert await command(tmp_path, *words) == 1
            assert "no peer channel" in capsys.readouterr().out.replace("without a", "no")


def test_times_are_ahead() -> None:
    now = datetime.now().astimezone()
    ahead = now + timedelta(hours=2)
    at = _time(f"{ahead:%H:%M:%S}")
    assert timedelta(0) < at - now <= timedelta(days=1)
    assert _time(f"{now + timedelta(days=2):%Y-%m-%dT%H:%M}") > now
    yesterday = _time(f"{now - timedelta(hours=1):%H:%M}")  # passed today, so tomorrow
    assert yesterday > now
    for wrong in ("soon", "25:00", f"{now - timedelta(days=2):%Y-%m-%dT%H:%M}"):
        with pytest.raises(argparse.ArgumentTypeError):
            _time(wrong)
