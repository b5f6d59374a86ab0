"""`hadirector apply`: bring the kernel's table to what the file says, once."""

from __future__ import annotations

import argparse
import asyncio
import json

from hadirector.cli.client import add_runtime_dir
from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, EXIT_YES, CliError

SUMMARY = "make the kernel's IPVS table what the file says, once, without a daemon"

_EPILOG = """\
Every server counts as up: no check is asked. A second apply of the same file writes nothing. The
steps are ordered so that an interruption at any point leaves every service with its servers.
Refused while a daemon runs here: it would undo at once what its own file and checks do not say.

  hadirector plan FILE             look first
  hadirector apply FILE            exit code 1: the kernel refused a step; it is named"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration of the pair")
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def execute(args: argparse.Namespace) -> int:
    """Apply the plan and say what was done."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.cli.plan import kernel_table, make_plan, show
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.preflight import lock_owner

    config = load_or_fail(args.file)
    if (owner := lock_owner(args.runtime_dir)) is not None:
        raise CliError(
            f"a daemon (process {owner}) keeps this table by its own file and its checks",
            "change its file, then: hadirector reload",
            EXIT_CANNOT,
        )
    ahead = make_plan(config, kernel_table())
    try:
        # Another event loop than the reading one, so another socket too.
        report = asyncio.run(kernel_table().apply(ahead.steps))
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
    failures = [str(failure) for failure in report.failures]
    if args.json:
        document = {
            "summary": ahead.summary,
            "steps": [str(step) for step in ahead.steps],
            "applied": report.applied,
            "failures": failures,
        }
        print(json.dumps(document, indent=2))
    else:
        show(ahead, as_json=False)
        for failure in failures:
            print(f"refused: {failure}")
        print(f"applied: {report.applied} of {len(ahead.steps)} steps")
    return EXIT_NO if failures else EXIT_YES
