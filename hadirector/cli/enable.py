"""`hadirector enable`: the end of a drain."""

from __future__ import annotations

import argparse

from hadirector.cli.override import EPILOG, add_arguments, order

SUMMARY = "end the drain or disablement of a server"

_EPILOG = f"""\
  hadirector enable web/198.51.100.21:8080     what its check and the file say holds again

It never brings in a server whose check fails. A weight given by hand stays: `hadirector weight`.

{EPILOG}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Have the server enabled."""
    return order(args, "enable")
