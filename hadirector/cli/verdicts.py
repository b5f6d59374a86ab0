"""The verdicts of scenarios and drills for people, and their report in files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hadirector.cli.errors import EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def add_report(parser: argparse.ArgumentParser) -> None:
    """The options that say where a report goes."""
    parser.add_argument(
        "--json", metavar="OUT", help="write the report to OUT as JSON; - prints it"
    )
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="OUT",
        help="write the report to OUT, by its suffix: .html (a page with pictures), .xml (JUnit), "
        ".json; may be given several times",
    )


def refuse_odd_reports(files: Sequence[str]) -> None:
    """Before anything happens: raises CliError for a report that could not be written."""
    from hadirector.drill.report import FORMS, form_of

    for file in files:
        if form_of(file) is None:
            known = ", ".join(FORMS)
            raise CliError(f"{file}: no report has this suffix", f"use {known}", EXIT_INVALID)
        if not Path(file).parent.is_dir():
            raise CliError(f"{file}: its directory does not exist", "make it first", EXIT_INVALID)


def show_result(result: dict[str, Any], console: Console) -> None:
    """One scenario: its verdict, what was seen, and what was not as promised."""
    from rich.markup import escape

    mark = "[green]pass[/]" if result["verdict"] == "pass" else "[red]FAIL[/]"
    console.print(f"{mark} {escape(result['title'])}")
    for sentence in result["notes"]:
        console.print(f"       {escape(sentence)}", style="dim")
    for sentence in result["faults"]:
        console.print(f"       [red]{escape(sentence)}[/]")


def show_report(
    document: dict[str, Any], console: Console, *, json_to: str | None, files: Sequence[str]
) -> int:
    """The whole report, wherever it is wanted; returns the exit code. Raises CliError."""
    from hadirector.drill.report import as_json, form_of

    results = document["scenarios"]
    if json_to == "-":
        print(json.dumps(document, indent=2))
    else:
        console.print(_table(results))
    forms = [(file, form_of(file)) for file in files]
    if json_to and json_to != "-":
        forms.append((json_to, as_json))
    for file, form in forms:
        assert form is not None  # `refuse_odd_reports`
        try:
            Path(file).write_text(form(document), encoding="utf-8")
        except OSError as error:
            raise CliError(f"{file} cannot be written: {error.strerror}", code=EXIT_NO) from error
        console.print(f"report written to {file}")
    failed = [result["name"] for result in results if result["verdict"] != "pass"]
    summary = f"{len(results) - len(failed)} of {len(results)} scenarios passed"
    console.print(summary + (f"; failed: {', '.join(failed)}" if failed else ""))
    return EXIT_NO if failed else EXIT_YES


def _table(results: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    from hadirector.drill.page import kept, roles

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), caption="outage and budget in ms"
    )
    table.add_column("scenario", no_wrap=True)
    table.add_column("outage", justify="right")
    table.add_column("budget", justify="right")
    table.add_column("lost", justify="right")
    table.add_column("kept", justify="right")
    table.add_column("active", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for result in results:
        table.add_row(
            result["name"],
            f"{result['outage_ms']:.0f}",
            f"{result['budget_ms']:.0f}",
            f"{result['requests_lost']}/{result['requests']}",
            kept(result),
            roles(result),
            "[green]pass[/]" if result["verdict"] == "pass" else "[red]FAIL[/]",
        )
    return table
