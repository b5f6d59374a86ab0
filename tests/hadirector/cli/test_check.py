"""`hadirector check`: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hadirector.cli.main import main
from tests.hadirector.config.samples import HEAD

ROOT = Path(__file__).parent.parent.parent.parent


def test_a_valid_file_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["check", "configs/quickstart.yaml"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out == (
        "configs/quickstart.yaml: valid: 2 nodes, 2 virtual routers, 1 service, 2 servers\n"
    )


def test_errors_go_to_standard_error_with_their_line_and_a_caret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pair.yaml").write_text(HEAD + "audit: 5\nsevices: []\n")
    assert main(["check", "pair.yaml"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "pair.yaml:6:8: error: audit: 5 has no unit; write 5s or 5ms",
        "    audit: 5",
        "           ^",
        'pair.yaml:7:1: error: sevices: unknown key "sevices"; did you mean "services"?',
        "    sevices: []",
        "    ^",
        "pair.yaml: not valid: 2 errors",
    ]


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--strict"], 1)])
def test_warnings_count_only_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(HEAD.replace("253", "254"))
    assert main(["check", str(file), *arguments]) == code
    output = capsys.readouterr()
    assert "warning: nodes.lb2.priority" in output.err
    assert output.out.endswith("0 services, 0 servers (1 warning)\n")


def test_json_is_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(HEAD + "audit: 5\n")
    assert main(["check", "--json", str(file)]) == 2
    shown = json.loads(capsys.readouterr().out)
    assert shown["valid"] is False
    assert shown["diagnostics"] == [
        {
            "severity": "error",
            "rule": "bad-duration",
            "file": str(file),
            "line": 6,
            "column": 8,
            "path": "audit",
            "text": "5",
            "message": "5 has no unit",
            "hint": "write 5s or 5ms",
        }
    ]


def test_a_missing_file_is_an_invalid_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_two_files_of_one_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quickstart = (ROOT / "configs" / "quickstart.yaml").read_text()
    Path("lb1.yaml").write_text(quickstart)
    Path("lb2.yaml").write_text(quickstart)
    assert main(["check", "lb1.yaml", "--peer", "lb2.yaml"]) == 0
    assert capsys.readouterr().out.endswith("together: both files say the same\n")

    Path("lb2.yaml").write_text(quickstart.replace("vrid: 52", "vrid: 53"))
    assert main(["check", "lb1.yaml", "--node", "lb1", "--peer", "lb2.yaml"]) == 2
    output = capsys.readouterr()
    assert "lb1.yaml:21:" in output.err
    assert "compare lb2.yaml:21" in output.err
    assert "together: refused" in output.err
    assert main(["check", "lb1.yaml", "--json", "--peer", "lb2.yaml"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["valid"], told["peer"]["valid"], told["valid_together"]) == (True, True, False)
    assert told["together"][0]["path"] == "virtual_routers[1].vrid"

    assert main(["check", "lb1.yaml", "--node", "lb3", "--peer", "lb2.yaml"]) == 2
    assert 'no node "lb3"' in capsys.readouterr().err
    assert main(["check", "lb1.yaml", "--node", "lb1"]) == 2
    assert "add --peer OTHER" in capsys.readouterr().err
