"""`hadirector events`: what happened, newest last."""

from __future__ import annotations

import argparse
import json
import time
from typing import cast

from hadirector import limits
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_YES

SUMMARY = "what happened: transitions, repairs, reloads"
COUNT_DEFAULT = 20
COUNT_MAX = limits.JOURNAL_EVENTS_MAX

_EPILOG = """\
  hadirector events             the last 20
  hadirector events -n 200      the last 200 (the daemon keeps 1000; all are in its journal file)
  hadirector events --json      one JSON object a line, for programs"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument(
        "-n",
        "--count",
        type=_count,
        default=COUNT_DEFAULT,
        metavar="NUMBER",
        help="how many (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def execute(args: argparse.Namespace) -> int:
    """Print the events."""
    reply = ask(args.runtime_dir, f"/events?count={args.count}")
    for event in cast("list[dict[str, object]]", reply["events"]):
        if args.json:
            print(json.dumps(event))
        else:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(cast(float, event["at"])))
            print(f"{at}  {event['kind']:<10} {event['sentence']}")
    return EXIT_YES


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= COUNT_MAX:
        raise argparse.ArgumentTypeError(f"a number from 1 to {COUNT_MAX}, not {text[:20]!r}")
    return int(text)
