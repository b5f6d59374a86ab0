"""`status`, `explain`, `events` and `reload` against a daemon: text, JSON and exit codes."""

import json
import time
from pathlib import Path

import pytest

from hadirector.router_answers import Json
from tests.hadirector.cli.daemon import Prepared, answering, command
from tests.hadirector.cli.made_up import NOW, STATUS

SERVER: Json = {
    "kind": "server",
    "name": "web/[2001:db8::1]:80",
    "state": "down",
    "since": NOW,
    "because": ["not in the table (its configured weight is 3)", "3 failures in a row"],
    "results": [
        {"at": NOW, "healthy": True, "reason": "ok", "sentence": "connected", "latency_ms": 0.1},
        {
            "at": NOW,
            "healthy": False,
            "reason": "l4-refused",
            "sentence": "connection refused",
            "latency_ms": 0.3,
        },
    ],
}
EVENTS: list[Json] = [
    {"kind": kind, "sentence": sentence, "at": NOW, "subject": None, "details": {}}
    for kind, sentence in (("server", "web/1 is down"), ("quorum", "web has lost its quorum"))
]
DIAGNOSTIC: Json = {
    "severity": "error",
    "rule": "unknown-scheduler",
    "file": "pair.yaml",
    "line": 12,
    "column": 16,
    "path": "services[0].scheduler",
    "text": "wlcc",
    "message": 'unknown scheduler "wlcc"',
    "hint": 'did you mean "wlc"?',
}
DIAGNOSED = (
    'pair.yaml:12:16: error: services[0].scheduler: unknown scheduler "wlcc"; did you mean "wlc"?'
)


def reloaded(**facts: object) -> Json:
    usual: Json = {
        "accepted": True,
        "changed": True,
        "sentence": "reload accepted: audit every 2 s",
    }
    return {**usual, "table": None, "failures": [], "diagnostics": [], **facts}


@pytest.mark.asyncio
async def test_status_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path, Prepared()):
        assert await command(tmp_path, "status") == 0
        assert capsys.readouterr().out.startswith("lb1 · /etc/hadirector.yaml · 3f2a9c81d2aa")
        assert await command(tmp_path, "status", "--json") == 0
        assert json.loads(capsys.readouterr().out) == STATUS


@pytest.mark.asyncio
async def test_explain_shows_reasons_and_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    async with answering(tmp_path, Prepared(explained=SERVER)) as daemon:
        assert await command(tmp_path, "explain", "web/[2001:db8::1]:80") == 0
        assert daemon.what == "web/[2001:db8::1]:80"
        assert capsys.readouterr().out.splitlines() == [
            "server web/[2001:db8::1]:80 is down since 2023-11-14 22:13:20",
            "  not in the table (its configured weight is 3)",
            "  3 failures in a row",
            "    2023-11-14 22:13:20  pass  ok                  0.1 ms  connected",
            "    2023-11-14 22:13:20  FAIL  l4-refused          0.3 ms  connection refused",
        ]
        assert await command(tmp_path, "explain", "web", "--json") == 0
        assert json.loads(capsys.readouterr().out) == SERVER


@pytest.mark.asyncio
async def test_explain_of_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path, Prepared()) as daemon:
        assert await command(tmp_path, "explain", "a b&c=/#ü") == 2
        assert daemon.what == "a b&c=/#ü"
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err == (
            'hadirector: nothing here is called "a b&c=/#ü"; there is: web; '
            "see: hadirector status\n"
        )


@pytest.mark.asyncio
async def test_events_newest_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with answering(tmp_path, Prepared(journal=EVENTS)) as daemon:
        assert await command(tmp_path, "events") == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith("  server     web/1 is down")
        assert second.endswith("  quorum     web has lost its quorum")
        assert daemon.count == 20
        assert await command(tmp_path, "events", "-n", "1", "--json") == 0
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line) for line in lines] == EVENTS[1:]


@pytest.mark.parametrize("count", ["-1", "many", "99999999999"])
@pytest.mark.asyncio
async def test_a_count_of_events_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    async with answering(tmp_path, Prepared(journal=EVENTS)):
        with pytest.raises(SystemExit) as ended:
            await command(tmp_path, "events", f"--count={count}")
    assert ended.value.code == 2
    assert "--count: a number from 1 to 1000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reply", "code", "out", "err"),
    [
        (
            reloaded(table="reload: add 1 server"),
            0,
            "reload accepted: audit every 2 s\nreload: add 1 server\n",
            "",
        ),
        (
            reloaded(table="reload: add 1 server", failures=["could not add it: EEXIST"]),
            1,
            "reload accepted: audit every 2 s\nreload: add 1 server\n",
            "refused: could not add it: EEXIST\n",
        ),
        (
            reloaded(accepted=False, changed=False, sentence="refused", diagnostics=[DIAGNOSTIC]),
            2,
            "",
            f"{DIAGNOSED}\nrefused\n",
        ),
    ],
)
@pytest.mark.asyncio
async def test_what_became_of_a_reload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: Json, code: int, out: str, err: str
) -> None:
    async with answering(tmp_path, Prepared(reloaded=reply)):
        assert await command(tmp_path, "reload") == code
        assert capsys.readouterr() == (out, err)
        assert await command(tmp_path, "reload", "--json") == code
        assert json.loads(capsys.readouterr().out) == reply


@pytest.mark.parametrize("words", [["status"], ["explain", "web"], ["events"], ["reload"]])
@pytest.mark.asyncio
async def test_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert await command(tmp_path, *words) == 3
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("hadirector: no daemon answers at")
    assert len(output.err.splitlines()) == 1


@pytest.mark.asyncio
async def test_an_audit_tells_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing: Json = {"repaired": [], "left": [], "kept": [], "oddities": [], "failures": []}
    clean: Json = {"sentence": "audit: the table matches", **nothing, "kept": ["fwmark 7"]}
    change = "change server 198.51.100.21:80 of tcp 192.0.2.100:80: weight 5 to 1"
    found = {**nothing, "sentence": "audit: change 1 server", "repaired": [change]}
    async with answering(tmp_path, Prepared(audited=clean)) as prepared:
        assert await command(tmp_path, "audit") == 0
        assert capsys.readouterr().out.splitlines() == [
            "audit: the table matches",
            "nobody declared it here: fwmark 7",
        ]
        prepared.audited = found
        assert await command(tmp_path, "audit") == 1
        assert capsys.readouterr().out.splitlines()[1] == f"repaired: {change}"
        assert await command(tmp_path, "audit", "--json") == 1
        assert json.loads(capsys.readouterr().out) == found
