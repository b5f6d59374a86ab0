"""`hadirector plan`: what would have to change in the kernel's table."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.config.model import Config
    from hadirector.ipvs.dataplane import Dataplane
    from hadirector.ipvs.table import KernelTable
    from hadirector.plan import Plan

SUMMARY = "show the difference between a configuration file and the kernel's IPVS table"

_EPILOG = """\
Every server counts as up: no check is asked, so on a running director the plan shows what the
checks have taken out. Services that the file does not name are listed and left alone.

  hadirector plan FILE             exit code 0: the table matches; 1: there are differences
  hadirector plan FILE --empty     against an empty table: needs neither root nor IPVS
  hadirector apply FILE            do it"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration of the pair")
    parser.add_argument("--empty", action="store_true", help="compare with an empty table")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print the plan."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.ipvs.memory import MemoryTable

    config = load_or_fail(args.file)
    ahead = make_plan(config, MemoryTable() if args.empty else kernel_table())
    show(ahead, as_json=args.json)
    return EXIT_NO if ahead else EXIT_YES


def kernel_table() -> KernelTable:
    """The kernel's table; raises CliError where there is none."""
    from hadirector import preflight
    from hadirector.ipvs.table import KernelTable

    preflight.privileges()
    preflight.kernel_has_ipvs()
    return KernelTable()


def make_plan(config: Config, dataplane: Dataplane) -> Plan:
    """Compare the file, all its servers up, with the table; raises CliError."""
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.plan import plan
    from hadirector.pool import desired_table, everything_up

    try:
        actual = asyncio.run(dataplane.read())
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
    return plan(desired_table(everything_up(service) for service in config.services), actual)


def show(ahead: Plan, *, as_json: bool) -> None:
    """Print a plan, step by step."""
    if as_json:
        document = {
            "summary": ahead.summary,
            "steps": [str(step) for step in ahead.steps],
            "kept": [str(key) for key in ahead.kept],
        }
        print(json.dumps(document, indent=2))
        return
    for step in ahead.steps:
        print(f"  {step}")
    for key in ahead.kept:
        print(f"  leave alone, not in the file: {key}")
    print(f"plan: {ahead.summary}")
