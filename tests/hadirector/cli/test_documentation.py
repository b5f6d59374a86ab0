"""Every command that the README and docs/ show is one that the program takes."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from hadirector.cli.main import VERBS

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The verb's own parser; whoever shows a verb that is not there fails here."""
    assert verb in VERBS
    parser = argparse.ArgumentParser(prog=f"hadirector {verb}", allow_abbrev=False)
    importlib.import_module(f"hadirector.cli.{verb}").configure(parser)
    return parser


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All options, those of the verb's own verbs, too."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*map(options_of, action.choices.values()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_has_one_type_is_taken(page: Path) -> None:
    for line in re.findall(
        r"^hadirector ([a-z].*)", page.read_text(encoding="utf-8"), re.MULTILINE
    ):
        if "──" not in line:  # not a drawing
            verb, *words = shlex.split(line, comments=True)
            parser_of(verb).parse_args(words)


def test_the_options_in_a_sentence_are_there() -> None:
    wrong = []
    for page in PAGES:
        for said in re.findall(r"`hadirector ([a-z][^`]*)`", page.read_text(encoding="utf-8")):
            verb, *words = said.split()
            options = {word.partition("=")[0].strip("[]") for word in words if "--" in word}
            if options - options_of(parser_of(verb)):
                wrong.append(f"{page.name}: hadirector {said}")
    assert wrong == []
