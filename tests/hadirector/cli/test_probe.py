"""`hadirector probe` against real sockets: transcript, verdict, JSON and exit codes."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadirector.cli.main import main
from tests.hadirector.pair import write_pair


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_healthy_server_with_its_transcript(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], listening: int
) -> None:
    file = str(write_pair(tmp_path / "pair.yaml", [listening]))
    assert main(["probe", file, f"web/127.0.0.1:{listening}"]) == 0
    first, *steps, verdict = capsys.readouterr().out.splitlines()
    assert first == f"web/127.0.0.1:{listening}: tcp at 127.0.0.1:{listening}, within 0.1 s"
    assert any("connect" in step for step in steps)
    assert verdict.startswith("  pass  ok  connected in ")


def test_of_a_service_each_server_has_its_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], listening: int, closed: int
) -> None:
    file = str(write_pair(tmp_path / "pair.yaml", [closed, listening]))
    assert main(["probe", file, "web"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  FAIL  l4-refused  connection refused (L4)") for line in lines)
    assert any(line.startswith("  pass  ok") for line in lines)
    assert lines[-1] == "1 of 2 servers healthy"
    assert main(["probe", file, "web", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is False
    refused, passed = told["probes"]
    assert (refused["server"], refused["healthy"]) == (f"web/127.0.0.1:{closed}", False)
    assert (refused["reason"], refused["timeout_ms"]) == ("l4-refused", 100)
    assert refused["transcript"]
    assert (passed["healthy"], passed["advice"]) == (True, None)
    assert passed["latency_ms"] >= 0


def says(directory: Path, line: str) -> str:
    """A configuration whose one server is what a file says of it."""
    (directory / "word").write_text(f"{line}\n")
    check = f"type: file, means: says, file: {directory / 'word'}"
    return str(write_pair(directory / "pair.yaml", [80], check=check))


def test_what_could_not_be_made_is_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = says(tmp_path, "half a wo")
    assert main(["probe", file, "web"]) == 3
    assert "could not be made, so nothing is known about the server: " in capsys.readouterr().out
    assert main(["probe", file, "web", "--json"]) == 3
    (probe,) = json.loads(capsys.readouterr().out)["probes"]
    assert (probe["healthy"], probe["reason"]) == (None, "socket")


def test_what_a_server_asks_for_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = says(tmp_path, "50%")
    assert main(["probe", file, "web"]) == 0
    assert capsys.readouterr().out.endswith("  it asks for 50 % of its weight\n")
    assert main(["probe", file, "web", "--json"]) == 0
    (probe,) = json.loads(capsys.readouterr().out)["probes"]
    assert probe["advice"] == {"weight": None, "percent": 50, "drain": False}


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("wbe", 'no service is called "wbe"; did you mean "web"?'),
        ("web/127.0.0.1:81", 'did you mean "web/127.0.0.1:80"?'),
        ("web/127.0.0.1:9", "is a fallback server: it has no check"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, sentence: str
) -> None:
    file = str(write_pair(tmp_path / "pair.yaml", [80]))
    assert main(["probe", file, what]) == 2
    assert sentence in capsys.readouterr().err


def test_an_invalid_file_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(write_pair(tmp_path / "pair.yaml", [80], scheduler="wlcc"))
    assert main(["probe", file, "web"]) == 2
    assert 'did you mean "wlc"?' in capsys.readouterr().err
