"""`hadirector pause`: this director observes, and leaves the kernel as it is."""

from __future__ import annotations

import argparse
from urllib.parse import urlencode

from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.override import account
from hadirector.cli.switchover import show

SUMMARY = "for maintenance: go on checking, but write nothing to the kernel"

_EPILOG = """\
Checks, the journal and the elections go on, and addresses move as ever; the table, the kernel's
settings and the sync daemons are left as they are, whatever happens to the servers. `status` says
so first, and the peer does too. It lasts over a restart of hadirector, not over a reboot.

  hadirector pause       on the director that is worked on
  hadirector plan FILE   what a resume would do
  hadirector resume"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Pause this director."""
    query = urlencode({"for": account()})
    return show(ask(args.runtime_dir, f"/pause?{query}", method="POST"), as_json=args.json)
