"""Every kind under one name: file, options, documentation, example, test."""

import importlib
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import annotated_types
import pytest
import yaml

from checkers.base import Reason
from checkers.options import CheckOptions
from checkers.registry import KINDS
from checkers.timing import Timing

ROOT = Path(__file__).parents[2]
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_a_kind_has_its_file_its_test_and_its_page(kind: str) -> None:
    options = KINDS[kind]
    assert options.kind == kind
    assert getattr(importlib.import_module(f"checkers.{kind}"), options.__name__) is options
    assert (ROOT / "tests" / "checkers" / f"test_{kind}.py").is_file()
    assert page(kind).startswith(f"# {kind}\n")


def page(kind: str) -> str:
    return (ROOT / "docs" / "checks" / f"{kind}.md").read_text()


@kinds
def test_a_page_names_every_option(kind: str) -> None:
    common = {field.name for field in fields(CheckOptions)}  # on the page of all checks
    own = [field.name for field in fields(KINDS[kind]) if field.name not in common]
    assert [name for name in own if f"`{name}`" not in page(kind)] == []


def test_the_page_of_all_checks_names_what_is_common() -> None:
    text = (ROOT / "docs" / "checks.md").read_text()
    names = [field.name for model in (Timing, CheckOptions) for field in fields(model)]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [kind for kind in KINDS if f"(checks/{kind}.md)" not in text] == []


@kinds
def test_the_example_of_a_page_is_a_valid_check(kind: str) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", page(kind), re.DOTALL)
    check = yaml.safe_load(example)["check"]
    timing = {field.name for field in fields(Timing)}
    assert check.pop("type") == kind
    options = KINDS[kind](**{name: value for name, value in check.items() if name not in timing})
    assert options.make_probe() is not None
    assert options.describe().startswith(kind)


def test_the_pages_name_every_reason() -> None:
    pages = "".join(map(page, KINDS)) + (ROOT / "docs" / "checks.md").read_text()
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in pages] == []


@pytest.mark.parametrize("model", [Timing, *KINDS.values()])
def test_every_option_is_described(model: type[Timing] | type[CheckOptions]) -> None:
    hints = get_type_hints(model, include_extras=True)
    for field in fields(model):
        notes = [
            note
            for note in getattr(hints[field.name], "__metadata__", ())
            if isinstance(note, annotated_types.DocInfo)
        ]
        assert len(notes) == 1, field.name
        assert notes[0].documentation.endswith("."), field.name


def test_reading_a_configuration_costs_no_event_loop_and_no_protocol() -> None:
    program = "import sys, checkers; print(*{'asyncio', 'ssl', 'h2', 'socket'} & {*sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.split() == []
