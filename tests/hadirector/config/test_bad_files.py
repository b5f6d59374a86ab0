"""One bad file per rule, named for the rule, with the exact findings beside it.

Error messages are an interface: whoever changes one changes the expected text, and reads it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hadirector.config.diagnostics import Rule
from hadirector.config.include import FILE_BYTES_MAX
from hadirector.config.loader import load

BAD = Path(__file__).parent / "bad"
CASES = sorted(path.stem for path in BAD.glob("*.expected"))
MADE_HERE = {Rule.TOO_LARGE}
"""Rules whose file is too unwieldy to keep."""
OF_TWO_FILES = {Rule.NO_PEER}
"""Rules about two files of one pair: see test_two_files."""


@pytest.fixture(autouse=True)
def in_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in the expected texts are relative to the directory."""
    monkeypatch.chdir(BAD)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_yields_exactly_the_expected_findings(case: str) -> None:
    loaded = load(f"{case}.yaml")
    assert "".join(f"{found}\n" for found in loaded.diagnostics) == (
        BAD / f"{case}.expected"
    ).read_text(encoding="utf-8")
    assert (loaded.config is None) == bool(loaded.errors)


@pytest.mark.parametrize("rule", sorted(set(Rule) - MADE_HERE - OF_TWO_FILES))
def test_every_rule_has_a_bad_file_of_its_name(rule: Rule) -> None:
    assert rule in {found.rule for found in load(f"{rule}.yaml").diagnostics}


def test_a_bad_file_shows_its_rule_and_little_else() -> None:
    for case in CASES:
        others = {found.rule for found in load(f"{case}.yaml").diagnostics} - {case}
        assert len(others) <= 1, case


def test_too_large(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    with file.open("wb") as stream:
        stream.truncate(FILE_BYTES_MAX + 1)
    [found] = load(file).diagnostics
    assert found.rule is Rule.TOO_LARGE
    assert str(found) == f"{file}:1:1: error: {file} is larger than 16 MiB; divide it with include:"


def test_a_file_that_is_a_device_is_read_to_a_bound() -> None:
    [found] = load("/dev/zero").diagnostics
    assert found.rule is Rule.TOO_LARGE
