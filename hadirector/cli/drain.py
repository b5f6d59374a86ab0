"""`hadirector drain`: no new connections for a server."""

from __future__ import annotations

import argparse

from hadirector.cli.override import EPILOG, add_arguments, order

SUMMARY = "give a server no new connections, while those it has go on"

_EPILOG = f"""\
  hadirector drain web/198.51.100.21:8080      no new clients; weight 0 in the table
  hadirector status                            how many connections are left (active)
  hadirector enable web/198.51.100.21:8080     back to what its check and the file say

A server whose check fails is out, drained or not. Clients held by persistence still come back to a
drained server, unless the kernel's `expire_quiescent_template` is set.

{EPILOG}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Have the server drained."""
    return order(args, "drain")
