"""`hadirector drill history`: the drills of this director, with their verdicts."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from hadirector.cli.errors import EXIT_CANNOT, EXIT_YES, CliError
from hadirector.cli.verdicts import add_report, refuse_odd_reports, show_report

SUMMARY = "the drills of this director and their verdicts, and a report of them"
STATE_DIR = Path("/var/lib/hadirector")
COUNT_MAX = 1000

_EPILOG = """\
  hadirector drill history                      all that are kept, the newest last
  hadirector drill history -n 1 --report last.html

exit codes: 0, whatever the verdicts were; 3 the history cannot be read"""


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    """Where the daemon keeps its state, and drills their history."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=STATE_DIR,
        metavar="DIR",
        help="where the history is kept (default: %(default)s)",
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the word."""
    parser.epilog = _EPILOG
    add_state_dir(parser)
    parser.add_argument(
        "-n", "--count", type=_count, default=COUNT_MAX, metavar="NUMBER", help="the newest only"
    )
    add_report(parser)


def execute(args: argparse.Namespace) -> int:
    """Print it, or make a report of it."""
    from rich.console import Console

    from hadirector.drill import history, result

    refuse_odd_reports(args.report)
    try:
        records = history.read(args.state_dir)[-args.count :]
    except OSError as error:
        sentence = f"{args.state_dir} cannot be read: {error.strerror}"
        raise CliError(sentence, "run this as root", EXIT_CANNOT) from error
    if args.json or args.report:
        file = str(records[-1]["file"]) if records else ""
        scenarios: list[Any] = [each["result"] for each in records]
        document = result.report(scenarios, file=file, kernel="this host's kernel")
        show_report(
            document,
            Console(highlight=False, stderr=args.json == "-"),
            json_to=args.json,
            files=args.report,
        )
        return EXIT_YES
    for record in records:
        print(_line(record))
    if not records:
        print("no drill was run here")
    return EXIT_YES


def _line(record: dict[str, Any]) -> str:
    told = record["result"]
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["at"]))
    why = f": {told['faults'][0]}" if told["faults"] else ""
    outage = f"{told['outage_ms']:.0f}/{told['budget_ms']:.0f} ms" if told["requests"] else "-"
    by = record.get("by") or "?"
    return f"{at}  {told['verdict']}  {told['name']:<16}  {outage:>14}  by {by}{why}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= COUNT_MAX:
        raise argparse.ArgumentTypeError(f"a number from 1 to {COUNT_MAX}, not {text[:20]!r}")
    return int(text)
