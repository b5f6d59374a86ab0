"""The local API on a real unix socket, asked as the commands ask it."""

import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hadirector import limits
from hadirector.api.app import serve
from hadirector.cli.client import SOCKET_NAME, ask
from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, CliError
from hadirector.overrides import Command
from hadirector.preflight import only_one
from hadirector.router_answers import Json, UnknownSubjectError
from tests.prerequisites import require

ROOT = Path(__file__).parents[3]
PROGRAM = """
import http.client, os, sys
from pathlib import Path
from hadirector.cli.client import ask
from hadirector.cli.errors import CliError
os.setgroups([])
os.setuid(65534)  # after the imports: nobody may not be allowed to read them
try:
    ask(Path(sys.argv[1]), "/status")
except CliError as error:
    print(error.code, error)
"""


class Parrot:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.patience = asyncio.Event()

    def status(self) -> Json:
        return {"node": "lb1"}

    def explain(self, what: str) -> Json:
        if what == "broken":
            raise RuntimeError("a fault of ours")
        if what != "web/[2001:db8::1]:80":
            raise UnknownSubjectError(f'nothing here is called "{what}"; there is: web')
        return {"name": what}

    def events(self, count: int) -> list[Json]:
        return [{"sentence": f"{count} were asked for"}]

    async def reload(self, asked_by: str) -> Json:
        await self.patience.wait()
        return {"accepted": True, "asked_by": asked_by}

    async def audit(self) -> Json:
        return {"asked": "audit"}

    async def override(self, what: str, command: Command, *, by: str) -> Json:
        if what != "web/198.51.100.21:80":
            raise UnknownSubjectError('"web" has no such server; did you mean another?')
        return {"order": command.verb, "weight": command.weight, "by": by}

    async def believe(self, what: str, *, by: str) -> Json:
        return {"service": what, "by": by}


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Parrot]:
    parrot = Parrot()
    end = await serve(parrot, directory / SOCKET_NAME)
    try:
        yield parrot
    finally:
        await end()


async def asked(
    directory: Path, path: str, *, method: str = "GET", timeout_s: float = 10.0
) -> dict[str, object]:
    return await asyncio.to_thread(ask, directory, path, method=method, timeout_s=timeout_s)


async def refused(
    directory: Path, path: str, *, method: str = "GET", timeout_s: float = 10.0
) -> CliError:
    with pytest.raises(CliError) as refusal:
        await asked(directory, path, method=method, timeout_s=timeout_s)
    return refusal.value


@pytest.mark.asyncio
async def test_every_question_has_its_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as parrot:
        assert await asked(tmp_path, "/status") == {"node": "lb1"}
        explained = await asked(tmp_path, "/explain?what=web%2F%5B2001%3Adb8%3A%3A1%5D%3A80")
        assert explained == {"name": "web/[2001:db8::1]:80"}
        parrot.patience.set()
        answer = await asked(tmp_path, "/reload", method="POST")
        assert answer == {"accepted": True, "asked_by": "hadirector reload"}


@pytest.mark.asyncio
async def test_an_unknown_subject_names_the_known_ones(tmp_path: Path) -> None:
    async with served(tmp_path):
        error = await refused(tmp_path, "/explain?what=wbe")
        assert str(error) == ('nothing here is called "wbe"; there is: web; see: hadirector status')
        assert error.code == EXIT_INVALID


@pytest.mark.parametrize(
    ("count", "told"), [("", 50), ("?count=7", 7), ("?count=0", 0), ("?count=999999999", 1000)]
)
@pytest.mark.asyncio
async def test_events_are_bounded(tmp_path: Path, count: str, told: int) -> None:
    assert limits.JOURNAL_EVENTS_MAX == 1000
    async with served(tmp_path):
        reply = await asked(tmp_path, f"/events{count}")
        assert reply == {"events": [{"sentence": f"{told} were asked for"}]}


@pytest.mark.parametrize("count", ["-1", "many", "1.5", "", "9" * 5000, "%D9%A3"])
@pytest.mark.asyncio
async def test_a_count_that_is_none_is_refused(tmp_path: Path, count: str) -> None:
    async with served(tmp_path):
        error = await refused(tmp_path, f"/events?count={count}")
        assert error.message.startswith("count is not a number")
        assert len(error.message) < 100


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("order=drain", {"order": "drain", "weight": None, "by": "root"}),
        ("order=disable&for=alice", {"order": "disable", "weight": None, "by": "root for alice"}),
        ("order=enable&for=%0Aevil+words", {"order": "enable", "weight": None, "by": "root"}),
        ("order=weight&weight=5", {"order": "weight", "weight": 5, "by": "root"}),
        ("order=weight&weight=0", {"order": "weight", "weight": 0, "by": "root"}),
        ("order=weight&weight=default", {"order": "weight", "weight": None, "by": "root"}),
    ],
)
@pytest.mark.asyncio
async def test_orders_come_with_who_gave_them(tmp_path: Path, query: str, answer: Json) -> None:
    async with served(tmp_path):
        path = f"/override?what=web%2F198.51.100.21:80&{query}"
        by = str(answer["by"]).replace("root", "root" if os.getuid() == 0 else f"uid {os.getuid()}")
        assert await asked(tmp_path, path, method="POST") == {**answer, "by": by}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("order=stop", 'nobody can order "stop"; there is: drain, disable, weight, enable'),
        ("", 'nobody can order ""; there is: drain, disable, weight, enable'),
        ("order=weight", '"" is no weight: a number from 0 on, or "default"'),
        ("order=weight&weight=-1", '"-1" is no weight: a number from 0 on, or "default"'),
        (
            f"order=weight&weight={2**31}",
            f'"{2**31}" is no weight: a number from 0 on, or "default"',
        ),
        ("order=drain&what=web", '"web" has no such server; did you mean another?'),
    ],
)
@pytest.mark.asyncio
async def test_what_cannot_be_ordered_is_refused(tmp_path: Path, query: str, sentence: str) -> None:
    async with served(tmp_path):
        error = await refused(tmp_path, f"/override?{query}", method="POST")
        assert (error.message, error.code) == (sentence, EXIT_INVALID)


@pytest.mark.asyncio
async def test_what_does_not_exist_is_refused_in_json_too(tmp_path: Path) -> None:
    async with served(tmp_path):
        assert (await refused(tmp_path, "/nonsense")).message == "GET /nonsense: Not Found"
        error = await refused(tmp_path, "/status", method="DELETE")
        assert error.message == "DELETE /status: Method Not Allowed"


@pytest.mark.asyncio
async def test_a_fault_of_the_daemon_is_not_taken_for_its_absence(tmp_path: Path) -> None:
    async with served(tmp_path):
        error = await refused(tmp_path, "/explain?what=broken")
        assert error.message == "the daemon failed to answer (500 Internal Server Error)"
        assert error.code == EXIT_CANNOT


@pytest.mark.asyncio
async def test_only_its_owner_may_open_the_socket(tmp_path: Path) -> None:
    async with served(tmp_path):
        mode = (tmp_path / SOCKET_NAME).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


@pytest.mark.asyncio
async def test_others_are_told_to_be_root(tmp_path: Path) -> None:
    require(root=True)
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(0o755)
    async with served(tmp_path):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        said, _ = await child.communicate()
    assert said.decode() == f"3 {tmp_path / SOCKET_NAME} may not be opened; run this as root\n"


@pytest.mark.asyncio
async def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.new"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / name))
    assert (await refused(tmp_path, "/status")).code == EXIT_CANNOT
    async with served(tmp_path):
        assert await asked(tmp_path, "/status") == {"node": "lb1"}


@pytest.mark.asyncio
async def test_nobody_there(tmp_path: Path) -> None:
    error = await refused(tmp_path, "/status")
    assert error.code == EXIT_CANNOT
    assert error.message.startswith(f"no daemon answers at {tmp_path / SOCKET_NAME}")
    assert "hadirector run" in error.remedy


@pytest.mark.asyncio
async def test_a_daemon_whose_director_process_is_down_is_not_called_absent(
    tmp_path: Path,
) -> None:
    with only_one(tmp_path):
        error = await refused(tmp_path, "/status")
    assert error.message.startswith(f"the daemon (process {os.getpid()}) runs, but")
    assert error.code == EXIT_CANNOT


@pytest.mark.asyncio
async def test_a_daemon_that_does_not_answer_in_time(tmp_path: Path) -> None:
    async with served(tmp_path) as parrot:
        error = await refused(tmp_path, "/reload", method="POST", timeout_s=0.1)
        assert error.message == "the daemon did not answer within 0.1 s"
        assert error.code == EXIT_CANNOT
        parrot.patience.set()
