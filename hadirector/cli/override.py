"""What `drain`, `disable`, `enable` and `weight` have in common: an order for one server."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, cast
from urllib.parse import urlencode

from hadirector import limits
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_NO, EXIT_YES

EPILOG = """\
An order holds until it is taken back, over reloads and restarts of the daemon, but not over a
reboot; and on this director only: give it on the other one, too, if it is to hold after a failover.
Checks go on meanwhile, so `enable` needs no wait. `hadirector status` shows what is overridden,
since when and by whom; so does the journal (`hadirector events`).

exit codes: 0 done; 1 ordered, but the kernel refused a part, or its table cannot be written now (it
is tried again); 2 no such server: the near name is told; 3 no daemon"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of all four."""
    parser.add_argument(
        "what", metavar="SERVICE/SERVER", help="as in `hadirector status`: web/198.51.100.21:8080"
    )
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def order(args: argparse.Namespace, verb: str, **more: str) -> int:
    """Give the order and print what came of it."""
    asked = {"what": args.what, "order": verb, "for": account(), **more}
    reply = ask(
        args.runtime_dir,
        f"/override?{urlencode(asked)}",
        method="POST",
        timeout_s=limits.RELOAD_TIMEOUT_S,
    )
    failures = cast("list[str]", reply["failures"])
    if args.json:
        print(json.dumps(reply, indent=2))
    else:
        _show(reply, failures)
    return EXIT_NO if failures else EXIT_YES


def account() -> str:
    """Who types it, where root is only the way: a note beside what the kernel says of them."""
    return os.environ.get("SUDO_USER", "")


def _show(reply: dict[str, object], failures: list[str]) -> None:
    now = cast("dict[str, Any]", reply["now"])
    print(reply["sentence"])
    print(reply["table"])
    connections = now["connections"]
    going_on = f", {connections['active']} active connections" if connections else ""
    print(f"now: check {now['state']}; {now['because'][0]}{going_on}")
    for failure in failures:
        print(f"refused: {failure}", file=sys.stderr)
