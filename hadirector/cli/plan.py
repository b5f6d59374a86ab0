"""`hadirector plan`: what would have to change in the kernel's table."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hadirector.cli.client import RUNTIME_DIR
from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.config.model import Config
    from hadirector.impact import Impact
    from hadirector.ipvs.dataplane import Dataplane
    from hadirector.ipvs.table import KernelTable
    from hadirector.ipvs.tuning import Change
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


@dataclass(frozen=True, slots=True)
class Ahead:
    """What must be done, and what that would mean."""

    plan: Plan
    impact: Impact
    settings: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.plan or self.settings)


def execute(args: argparse.Namespace) -> int:
    """Print the plan."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.ipvs.memory import MemoryTable
    from hadirector.ipvs.tuning import changes

    config = load_or_fail(args.file)
    if args.empty:
        table = look_ahead(config, MemoryTable())
        ahead = replace(table, settings=changes(config.settings, {}))
    else:
        ahead = look_at_kernel(config)
    show(ahead, as_json=args.json)
    return EXIT_NO if ahead else EXIT_YES


def kernel_table() -> KernelTable:
    """The kernel's table; raises CliError where there is none."""
    from hadirector import preflight
    from hadirector.ipvs.table import KernelTable

    preflight.privileges()
    preflight.kernel_has_ipvs()
    return KernelTable()


def look_at_kernel(config: Config) -> Ahead:
    """Compare the file, all its servers up, with the kernel; raises CliError."""
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.tuner import Tuner

    with closing(kernel_table()) as kernel:
        ahead = look_ahead(config, kernel)
    try:
        with closing(Tuner(RUNTIME_DIR)) as tuner:
            return replace(ahead, settings=asyncio.run(tuner.ahead(config.settings)))
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error


def look_ahead(config: Config, dataplane: Dataplane) -> Ahead:
    """Compare the file, all its servers up, with a table; raises CliError."""
    from hadirector.impact import Quorum, impact
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.plan import plan
    from hadirector.pool import desired_table, everything_up

    try:
        actual = asyncio.run(dataplane.read())
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
    desired = desired_table(everything_up(service) for service in config.services)
    ahead = plan(desired, actual, undeclared=config.undeclared)
    quorums = {
        key: Quorum(each.name, each.quorum) for each in config.services for key in each.listens
    }
    return Ahead(ahead, impact(ahead, actual, desired, quorums))


def show(ahead: Ahead, *, as_json: bool) -> None:
    """Print a plan, step by step, and what it would mean."""
    if as_json:
        print(json.dumps(as_document(ahead), indent=2))
        return
    for sentence in (*ahead.settings, *ahead.plan.steps):
        print(f"  {sentence}")
    for key in ahead.plan.kept:
        print(f"  leave alone, not in the file: {key}")
    for what in ahead.impact.sentences:
        print(f"impact: {what}")
    print(f"plan: {summary(ahead)}")


def summary(ahead: Ahead) -> str:
    """The plan in a few words."""
    count = len(ahead.settings)
    tuned = f"change {count} setting{'s' * (count != 1)}" if count else ""
    table = ahead.plan.summary
    return (f"{tuned}, {table}" if ahead.plan else tuned) if tuned else table


def as_document(ahead: Ahead) -> dict[str, object]:
    """A plan for programs."""
    return {
        "summary": summary(ahead),
        "settings": [str(change) for change in ahead.settings],
        "steps": [str(step) for step in ahead.plan.steps],
        "kept": [str(key) for key in ahead.plan.kept],
        "impact": list(ahead.impact.sentences),
        "changes": ahead.impact.changes,
    }
