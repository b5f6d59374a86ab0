"""`hadirector schema` prints what is committed for editors."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadirector.cli.main import main

COMMITTED = Path(__file__).parent.parent.parent.parent / "configs" / "hadirector.schema.json"


def test_prints_the_committed_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == COMMITTED.read_text(encoding="utf-8")
