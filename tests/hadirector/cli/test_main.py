"""The program itself: the table of verbs, lazy imports, exit codes and one-line errors."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, CliError
from hadirector.cli.main import EXIT_BROKEN_PIPE, VERBS, main

ROOT = Path(__file__).parent.parent.parent.parent


def test_help_lists_every_verb_and_explains_the_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"    {verb} " in text.replace("\n", " ") for verb in VERBS)
    assert "exit codes:" in text


def test_help_imports_no_verb_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hadirector.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " ('pydantic', 'yaml', 'rich', 'aiohttp', 'asyncio')"
        " or name.startswith('hadirector.cli.') and name.split('.')[2] not in ('main', 'errors')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_the_summary_of_the_table_and_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"hadirector.cli.{verb}")
    assert VERBS[verb] == module.SUMMARY
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"hadirector {verb}" in capsys.readouterr().out.partition("\n\n")[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"hadirector {importlib.metadata.version('hadirector')}\n"


@pytest.mark.parametrize("words", [["nonsense"], ["check"], ["--nonsense"], ["--", "check", "x"]])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == EXIT_INVALID
    assert "usage:" in capsys.readouterr().err


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EXIT_INVALID
    assert "first steps" in capsys.readouterr().err


def test_an_error_is_one_line_with_its_remedy() -> None:
    error = CliError("this kernel has no IPVS", "modprobe ip_vs")
    assert str(error) == "this kernel has no IPVS; modprobe ip_vs"
    assert error.code == EXIT_CANNOT


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "hadirector.cli.main", "schema"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
        cwd=ROOT,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (EXIT_BROKEN_PIPE, b"")
