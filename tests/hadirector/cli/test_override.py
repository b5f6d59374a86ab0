"""`drain`, `disable`, `enable` and `weight` against a daemon: what is asked, text, exit codes."""

import json
from pathlib import Path

import pytest

from hadirector.overrides import Command
from hadirector.router_answers import Json
from tests.hadirector.cli.daemon import Prepared, answering, command

WHAT = "web/[2001:db8::1]:80"


def reply(*failures: str) -> Json:
    now: Json = {
        "state": "up",
        "because": ["in the table with weight 0"],
        "connections": {"active": 12, "inactive": 3},
    }
    return {
        "server": WHAT,
        "changed": True,
        "sentence": f"{WHAT}: drained by hand (root)",
        "table": "drain: change 1 server",
        "failures": list(failures),
        "now": now,
    }


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["drain", WHAT], Command("drain")),
        (["disable", WHAT], Command("disable")),
        (["enable", WHAT], Command("enable")),
        (["weight", WHAT, "5"], Command("weight", 5)),
        (["weight", WHAT, "default"], Command("weight")),
    ],
)
@pytest.mark.asyncio
async def test_each_verb_gives_its_order(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    asked: Command,
) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    async with answering(tmp_path, Prepared(overridden=reply())) as daemon:
        assert await command(tmp_path, *words) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"{WHAT}: drained by hand (root)",
            "drain: change 1 server",
            "now: check up; in the table with weight 0, 12 active connections",
        ]
        assert daemon.ordered is not None
        what, given, by = daemon.ordered
        assert (what, given) == (WHAT, asked)
        assert by.endswith(" for alice")
        assert await command(tmp_path, *words, "--json") == 0
        assert json.loads(capsys.readouterr().out) == reply()


@pytest.mark.asyncio
async def test_what_the_kernel_refuses_is_no_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path, Prepared(overridden=reply("could not: EBUSY"))):
        assert await command(tmp_path, "drain", WHAT) == 1
        assert capsys.readouterr().err == "refused: could not: EBUSY\n"


@pytest.mark.parametrize("words", [["drain", "web"], ["weight", WHAT, "many"]])
@pytest.mark.asyncio
async def test_what_cannot_be_ordered_is_exit_code_2(tmp_path: Path, words: list[str]) -> None:
    async with answering(tmp_path, Prepared()):
        assert await command(tmp_path, *words) == 2


@pytest.mark.asyncio
async def test_without_a_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command(tmp_path, "drain", WHAT) == 3
    assert "no daemon answers" in capsys.readouterr().err
