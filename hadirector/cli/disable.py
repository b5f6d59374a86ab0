"""`hadirector disable`: a server out of the table."""

from __future__ import annotations

import argparse

from hadirector.cli.override import EPILOG, add_arguments, order

SUMMARY = "take a server out of the table until it is enabled again"

_EPILOG = f"""\
  hadirector drain web/198.51.100.21:8080      first, to spare its connections
  hadirector disable web/198.51.100.21:8080    then out, whatever its check says
  hadirector enable web/198.51.100.21:8080     back in, if its check passes

The connections it has are cut off. It no longer counts for the quorum of its service, and without a
quorum this director may leave the virtual address to the other one.

{EPILOG}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Have the server taken out."""
    return order(args, "disable")
