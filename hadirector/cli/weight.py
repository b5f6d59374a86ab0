"""`hadirector weight`: another weight for a server."""

from __future__ import annotations

import argparse

from hadirector.cli.override import EPILOG, add_arguments, order

SUMMARY = "give a server another weight while it is up"

_EPILOG = f"""\
  hadirector weight web/198.51.100.21:8080 5         instead of the one in the file
  hadirector weight web/198.51.100.21:8080 default   the one in the file again

It goes before a weight or share that the server asks for itself (agent, script, file), but a server
that asks for no new connections gets none, and one that is down stays out. With 0 it is drained.

{EPILOG}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_arguments(parser)
    parser.add_argument("weight", metavar="N|default", help="a weight, or the file's again")


def execute(args: argparse.Namespace) -> int:
    """Have the weight changed."""
    return order(args, "weight", weight=args.weight)
