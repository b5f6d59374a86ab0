"""`believe` against a daemon: what is asked, text, exit codes."""

from pathlib import Path

import pytest

from hadirector.router_answers import Json
from tests.hadirector.cli.daemon import Prepared, answering, command


def reply(*failures: str) -> Json:
    return {
        "service": "web",
        "sentence": "web: the failures of 3 servers are believed by order (root)",
        "table": "health: remove 3 servers",
        "failures": list(failures),
        "now": {},
    }


@pytest.mark.asyncio
async def test_it_tells_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with answering(tmp_path, Prepared(believed=reply())) as daemon:
        assert await command(tmp_path, "believe", "web") == 0
        assert daemon.what == "web"
    assert capsys.readouterr().out.splitlines() == [reply()["sentence"], reply()["table"]]


@pytest.mark.asyncio
async def test_what_the_kernel_refused_and_an_unknown_service_have_their_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path, Prepared(believed=reply("no such service"))):
        assert await command(tmp_path, "believe", "web") == 1
        assert "refused: no such service" in capsys.readouterr().err
    async with answering(tmp_path, Prepared()):
        assert await command(tmp_path, "believe", "wbe") == 2
        assert 'did you mean "web"?' in capsys.readouterr().err
