"""`hadirector resume`: the end of a pause."""

from __future__ import annotations

import argparse
from urllib.parse import urlencode

from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.override import account
from hadirector.cli.switchover import show

SUMMARY = "end a pause: the kernel is made what it should be"

_EPILOG = """\
  hadirector plan FILE   shows beforehand what that is
  hadirector resume"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """End the pause of this director."""
    query = urlencode({"for": account()})
    return show(ask(args.runtime_dir, f"/resume?{query}", method="POST"), as_json=args.json)
