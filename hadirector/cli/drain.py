"""`hadirector drain`: no new connections for a server."""

from __future__ import annotations

import argparse
import math

from hadirector.cli.arguments import duration
from hadirector.cli.override import EPILOG, add_arguments, order

SUMMARY = "give a server no new connections, while those it has go on"

_EPILOG = f"""\
  hadirector drain web/198.51.100.21:8080      no new clients; weight 0 in the table
  hadirector drain web/198.51.100.21:8080 --until-connections 0 --timeout 10m
                                               and out of the table then, `enable` brings it back
  hadirector status                            how many connections are left (active)
  hadirector enable web/198.51.100.21:8080     back to what its check and the file say

A server whose check fails is out, drained or not. Clients held by persistence still come back to a
drained server, unless the kernel's `expire_quiescent_template` is set; so without it, a drain waits
for persistence to end, too. The daemon does the waiting: over restarts, and whoever leaves.

{EPILOG}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_arguments(parser)
    parser.add_argument(
        "--until-connections",
        type=_whole_number,
        metavar="N",
        help="take it out of the table (disable it) as soon as at most N connections are left",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        help="take it out of the table after this time, such as 5m, whatever is left",
    )


def execute(args: argparse.Namespace) -> int:
    """Have the server drained."""
    more = {}
    if args.until_connections is not None:
        more["connections"] = str(args.until_connections)
    if args.timeout is not None:
        more["timeout"] = str(args.timeout)
    return order(args, "drain", **more)


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of connections")
    return int(text)


def _seconds(text: str) -> int:
    return math.ceil(duration(text))
