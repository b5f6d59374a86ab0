"""`hadirector status`: roles, services, servers, weights and reasons on one screen."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_YES

SUMMARY = "roles, services and servers as the running daemon sees them"

_EPILOG = """\
What is wrong stands first. In a narrow terminal the reasons of what is as it should be are left
out; `hadirector explain` has them all.

  hadirector status                       for people
  hadirector status --all                 every server, however many are up
  hadirector status --json                everything, for programs (docs/status.md)
  watch -n1 hadirector status             follow it"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--all", action="store_true", help="show every server")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print the status of the daemon on this host."""
    reply = ask(args.runtime_dir, "/status")
    if args.json:
        print(json.dumps(reply, indent=2))
    else:
        show(reply, all_servers=args.all)
    return EXIT_YES


def show(status: dict[str, Any], *, all_servers: bool = False) -> None:
    """Print a status for people."""
    from rich.console import Console

    from hadirector.cli.screen import screen

    console = Console(highlight=False)
    for line in screen(status, width=console.width, now=time.time(), all_servers=all_servers):
        console.print(line, soft_wrap=True)  # the lines are wrapped already
