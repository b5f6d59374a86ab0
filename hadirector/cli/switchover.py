"""`hadirector switchover`: the other director becomes active, and no connection is lost."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError
from hadirector.cli.override import account

SUMMARY = "give the active role to the other director, without losing a connection"

REPLY_S = 75.0

_EPILOG = """\
It may be asked for on either director. First both look: peer alive, in sync, healthy, the same
file; what is missing refuses it, and --force overrides what can be overridden. Then the active one
sends what its kernel has gathered of connections (3 s), lowers its priority, and the other becomes
active at once; the command returns when both have stayed where they should be. The one that has
yielded stays lower until it is active again, or is restarted after a reboot (docs/peer.md).

  hadirector switchover                      away from the one that is active
  hadirector switchover --to lb2             also where each is active for something
  hadirector switchover --at 03:00           at the next three o'clock; the daemon does it
  hadirector switchover --cancel             forget the one that is planned

exit codes: 0 done, or planned; 1 refused or failed, and why; 3 there is no daemon"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--to", default="", metavar="NODE", help="who shall be active")
    parser.add_argument(
        "--at",
        type=_time,
        metavar="TIME",
        help="when: 03:00, 03:00:30 or 2026-01-31T03:00 (this host's time)",
    )
    parser.add_argument(
        "--force", action="store_true", help="although something speaks against it that may"
    )
    parser.add_argument("--cancel", action="store_true", help="forget the one that is planned")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Have it done and print what came of it."""
    if args.cancel and (args.to or args.at is not None or args.force):
        raise CliError(
            "--cancel forgets the one that is planned, and takes no --to, --at or --force",
            "plan another one with --at: it replaces the first",
            EXIT_INVALID,
        )
    query = {"to": args.to, "force": "1" if args.force else "", "for": account()}
    if args.at is not None:
        query["at"] = f"{args.at.timestamp():.3f}"
    path = "/switchover/cancel" if args.cancel else "/switchover"
    told = ask(args.runtime_dir, f"{path}?{urlencode(query)}", method="POST", timeout_s=REPLY_S)
    return show(told, as_json=args.json)


def show(told: dict[str, Any], *, as_json: bool) -> int:
    """Print what became of an order for the pair; returns the exit code."""
    if as_json:
        print(json.dumps(told, indent=2))
    elif told["missing"] and not told["done"]:
        print("refused:")
        for sentence in told["missing"]:
            print(f"  {sentence}")
        if told.get("forcible"):
            print("--force overrides it")
    else:
        print(told["sentence"])
    if told["done"]:
        return EXIT_YES
    return EXIT_NO if "missing" in told else EXIT_CANNOT


def _time(text: str) -> datetime:
    """A moment ahead, in this host's time."""
    now = datetime.now().astimezone()
    for form in ("%H:%M", "%H:%M:%S"):
        try:
            clock = datetime.strptime(text, form)  # noqa: DTZ007 - a time of day has no zone
        except ValueError:
            continue
        at = now.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
        return at if at > now else at + timedelta(days=1)
    try:
        at = datetime.fromisoformat(text).astimezone()
    except ValueError:
        message = f"{text!r} is no time; write 03:00 or 2026-01-31T03:00"
        raise argparse.ArgumentTypeError(message) from None
    if at <= now:
        raise argparse.ArgumentTypeError(f"{text} has passed")
    return at
