"""`hadirector ipvs save` and `restore`: the table in ipvsadm's rule format."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.ipvs.model import Table

SAVE_SUMMARY = "print the kernel's table as rules that `ipvsadm-restore` takes"
RESTORE_SUMMARY = "make the kernel's table what a file of rules says, all of it or nothing"

RULES_BYTES_MAX = 64 * 1024 * 1024

_SAVE_EPILOG = """\
As `ipvsadm-save -n` prints it, and the connection thresholds besides, which that leaves out.
Exit code 1: something in the table has no words in this format; it is named on standard error."""

_RESTORE_EPILOG = """\
FILE holds what `ipvsadm-save -n` or `hadirector ipvs save` has written; - is standard input. A file
with a mistake changes nothing: every wrong line is named. Services are changed in place, servers
are added before others go, and a service that the file does not name stays.

  hadirector ipvs restore table.rules --dry-run     look first
  hadirector ipvs restore table.rules
  hadirector ipvs restore table.rules --exact       and remove every other service"""


def configure_save(parser: argparse.ArgumentParser) -> None:
    """Arguments of `save`: none."""
    parser.epilog = _SAVE_EPILOG


def configure_restore(parser: argparse.ArgumentParser) -> None:
    """Arguments of `restore`."""
    parser.epilog = _RESTORE_EPILOG
    parser.add_argument("file", metavar="FILE", help="the rules; - for standard input")
    parser.add_argument(
        "--exact", action="store_true", help="remove the services that the file does not name"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the steps and do nothing")


def save(args: argparse.Namespace) -> int:
    """Print the table as rules."""
    from hadirector.ipvs.ruletext import format_rules

    del args  # there is nothing to choose
    table = _read()
    rules = format_rules(table)
    for line in rules.lines:
        print(line)
    for what in (*rules.unsaid, *table.oddities):
        print(f"not saved: {what}", file=sys.stderr)
    return EXIT_NO if rules.unsaid or table.oddities else EXIT_YES


def restore(args: argparse.Namespace) -> int:
    """Make the table what the rules say."""
    from hadirector.cli.plan import Ahead, kernel_table, show
    from hadirector.impact import impact
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.plan import Undeclared, plan

    wanted = _rules_of(args.file)
    others = Undeclared.REMOVE if args.exact else Undeclared.KEEP
    actual = _read()
    ahead = plan(wanted, actual, undeclared=others)
    show(Ahead(ahead, impact(ahead, actual, wanted, {})), as_json=False)
    if args.dry_run:
        return EXIT_NO if ahead else EXIT_YES
    try:
        with closing(kernel_table()) as kernel:
            report = asyncio.run(kernel.apply(ahead.steps))
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
    for failure in report.failures:
        print(f"refused: {failure}")
    print(f"applied: {report.applied} of {len(ahead.steps)} steps")
    return EXIT_YES if report.ok else EXIT_NO


def _read() -> Table:
    from hadirector.cli.plan import kernel_table
    from hadirector.ipvs.dataplane import DataplaneError

    try:
        with closing(kernel_table()) as kernel:
            return asyncio.run(kernel.read())
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error


def _rules_of(file: str) -> Table:
    from hadirector.ipvs.ruletext import RuleTextError, parse_rules

    try:
        return parse_rules(_text_of(file))
    except RuleTextError as error:
        for sentence in error.errors:
            print(f"{file}: {sentence}", file=sys.stderr)
        count = len(error.errors)
        raise CliError(
            f"{count} line{'s' * (count != 1)} of {file} cannot be restored; nothing was changed",
            "correct them and try again",
            EXIT_INVALID,
        ) from error


def _text_of(file: str) -> str:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(RULES_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(RULES_BYTES_MAX + 1)
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}", "name a file of rules", EXIT_INVALID) from error
    if len(data) > RULES_BYTES_MAX:
        raise CliError(f"{file} is larger than 64 MiB", "divide it", EXIT_INVALID)
    return data.decode(errors="replace")
