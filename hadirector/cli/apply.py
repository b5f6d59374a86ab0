"""`hadirector apply`: bring the kernel's table to what the file says, once."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector.cli.client import add_runtime_dir
from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, EXIT_YES, CliError
from hadirector.cli.plan import add_node

if TYPE_CHECKING:
    from hadirector.cli.plan import Ahead
    from hadirector.connection_sync import SyncStep
    from hadirector.ipvs.dataplane import AppliedReport, Dataplane
    from hadirector.ipvs.settings import KernelSettings
    from hadirector.ipvs.steps import Step

SUMMARY = "make the kernel's IPVS table what the file says, once, without a daemon"

_EPILOG = """\
Every server counts as up: no check is asked. A second apply of the same file writes nothing. The
steps are ordered so that an interruption at any point leaves every service with its servers. What
is to be removed gets weight 0 first and is waited for: until its connections have ended, at most
for the file's drain_removed (30 s; 0s: not at all). Interrupted meanwhile, it stays drained, and
another apply removes it.
Refused while a daemon runs here: it would undo at once what its own file and checks do not say.

At a terminal, a plan that takes something from the clients is shown with its impact and asks first.

  hadirector plan FILE             look first
  hadirector apply FILE --max-changes 20
  hadirector apply FILE            exit code 1: the kernel refused a step; it is named"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration of the pair")
    add_runtime_dir(parser)
    add_node(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask, whatever the impact is")
    parser.add_argument(
        "--max-changes",
        type=_whole_number,
        metavar="N",
        help="do nothing if more than N entries would change or go (default: the file's)",
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def execute(args: argparse.Namespace) -> int:
    """Apply the plan and say what was done."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.cli.plan import as_document, look_at_kernel, show
    from hadirector.preflight import lock_owner

    config = load_or_fail(args.file)
    if (owner := lock_owner(args.runtime_dir)) is not None:
        raise CliError(
            f"a daemon (process {owner}) keeps this table by its own file and its checks",
            "change its file, then: hadirector reload",
            EXIT_CANNOT,
        )
    ahead = look_at_kernel(config, args.node)
    if not args.json:
        show(ahead, as_json=False)
    most = config.max_changes if args.max_changes is None else args.max_changes
    if most is not None and ahead.impact.changes > most:
        raise CliError(
            f"this would change or remove more entries ({ahead.impact.changes}) than are allowed "
            f"({most}); nothing was changed",
            f"if it is meant: --max-changes {ahead.impact.changes}",
            EXIT_NO,
        )
    if ahead.impact.sentences and not (args.yes or args.json or _agreed()):
        raise CliError("nothing was changed", "", EXIT_NO)
    report = _carry_out(ahead, args.runtime_dir)
    failures = [str(failure) for failure in report.failures]
    if args.json:
        document = {**as_document(ahead), "applied": report.applied, "failures": failures}
        print(json.dumps(document, indent=2))
    else:
        for failure in failures:
            print(f"refused: {failure}")
        others = _changed(len(ahead.settings), "setting") + _changed(len(ahead.sync), "sync daemon")
        steps = len(ahead.plan.steps) + len(ahead.lowers)
        print(f"applied: {report.applied} of {steps} steps{others}")
    return EXIT_NO if failures else EXIT_YES


def _agreed() -> bool:
    """Whether somebody at a terminal agrees; without one, nobody can be asked."""
    if not sys.stdin.isatty():
        return True
    try:
        return input("go ahead? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _carry_out(ahead: Ahead, runtime_dir: Path) -> AppliedReport:
    from hadirector.cli.plan import kernel_table
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.ipvs.settings import KernelSettings
    from hadirector.tuner import Tuner

    try:
        with closing(Tuner(runtime_dir)) as tuner:
            asyncio.run(tuner.apply(ahead.settings))
        # Another event loop than the reading one, so another socket too.
        with closing(kernel_table()) as kernel:
            report = asyncio.run(_apply(kernel, ahead))
        with closing(KernelSettings()) as daemons:
            asyncio.run(_change_daemons(daemons, ahead.sync))
        return report
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error


async def _apply(kernel: Dataplane, ahead: Ahead) -> AppliedReport:
    """All that gives, then weight 0 for what goes; once its clients have gone, the removals."""
    from hadirector.departures import parted
    from hadirector.ipvs.dataplane import AppliedReport

    first, last = parted(ahead.plan.steps)
    report = await kernel.apply((*first, *ahead.lowers))
    if last and ahead.drain_s:
        await _wait_for_clients(kernel, ahead, last)
    removed = await kernel.apply(last)
    failures = (*report.failures, *removed.failures)
    return AppliedReport(report.applied + removed.applied, failures)


async def _wait_for_clients(kernel: Dataplane, ahead: Ahead, last: tuple[Step, ...]) -> None:
    """Until the servers that go have no connections any more, or their time is over."""
    from hadirector import limits
    from hadirector.departures import Drain, awaited_of

    loop, drain = asyncio.get_running_loop(), ahead.drain or Drain()
    until, told = loop.time() + drain.time_s, False
    while left := awaited_of(last, await kernel.read(), drain):
        if (remaining_s := until - loop.time()) <= 0:
            print(f"removed with {_connections(left)} left: its time is over", file=sys.stderr)
            return
        if not told:
            told = True
            print(
                f"waits for {_connections(left)} of what is removed, {drain.time_s:g} s at most",
                file=sys.stderr,
            )
        await asyncio.sleep(min(limits.DRAIN_LOOK_S, remaining_s))


def _changed(count: int, what: str) -> str:
    return f", {count} {what}{'s' * (count != 1)} changed" if count else ""


def _connections(count: int) -> str:
    return f"{count} connection{'s' * (count != 1)}"


async def _change_daemons(kernel: KernelSettings, steps: Iterable[SyncStep]) -> None:
    for step in steps:
        if step.stop is not None:
            await kernel.stop_daemon(step.stop.role)
        if step.start is not None:
            await kernel.start_daemon(step.start)


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)
