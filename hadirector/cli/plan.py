"""`hadirector plan`: what would have to change in the kernel's table."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from hadirector.cli.client import RUNTIME_DIR
from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, EXIT_YES, CliError
from hadirector.garbage import without_collection

if TYPE_CHECKING:
    from hadirector.config.model import Config
    from hadirector.connection_sync import SyncStep
    from hadirector.departures import Drain
    from hadirector.impact import Impact
    from hadirector.ipvs.connection_table import ConnectionTable
    from hadirector.ipvs.control import Daemons
    from hadirector.ipvs.dataplane import Dataplane
    from hadirector.ipvs.model import Table
    from hadirector.ipvs.steps import SetDestination
    from hadirector.ipvs.table import KernelTable
    from hadirector.ipvs.tuning import Change
    from hadirector.plan import Plan

T = TypeVar("T")

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
    add_node(parser)
    parser.add_argument("--empty", action="store_true", help="compare with an empty table")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def add_node(parser: argparse.ArgumentParser) -> None:
    """Add `--node`: with `connection_sync.roles` or `mode: both`, directors may differ."""
    parser.add_argument(
        "--node",
        default=socket.gethostname(),
        metavar="NAME",
        help="which of the file's nodes this is (default: the host name, %(default)s)",
    )


@dataclass(frozen=True, slots=True)
class Ahead:
    """What must be done, and what that would mean."""

    plan: Plan
    impact: Impact
    settings: tuple[Change, ...] = ()
    sync: tuple[SyncStep, ...] = ()
    remarks: tuple[str, ...] = ()
    drain: Drain | None = None
    lowers: tuple[SetDestination, ...] = ()
    """What is done before anything is removed, so that its clients may go."""
    connections: ConnectionTable | None = None
    """None where no kernel was asked."""

    @property
    def drain_s(self) -> float:
        """For how long what is removed is waited for at most."""
        return 0.0 if self.drain is None else self.drain.time_s

    def __bool__(self) -> bool:
        return bool(self.plan or self.settings or self.sync)


def execute(args: argparse.Namespace) -> int:
    """Print the plan."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.ipvs.memory import MemoryTable
    from hadirector.ipvs.tuning import changes

    config = load_or_fail(args.file)
    if args.empty:
        table = look_ahead(config, MemoryTable())
        settings = changes(config.settings, {})
        ahead = with_sync(replace(table, settings=settings), config, args.node, {})
    else:
        ahead = look_at_kernel(config, args.node)
    show(ahead, as_json=args.json)
    return EXIT_NO if ahead else EXIT_YES


def kernel_table() -> KernelTable:
    """The kernel's table; raises CliError where there is none."""
    from hadirector import preflight
    from hadirector.ipvs.table import KernelTable

    preflight.privileges()
    preflight.kernel_has_ipvs()
    return KernelTable()


def look_at_kernel(config: Config, node: str) -> Ahead:
    """Compare the file, all its servers up, with the kernel; raises CliError."""
    from hadirector.cli.ipvs_settings import object_bytes
    from hadirector.ipvs import modules
    from hadirector.ipvs.connection_table import ConnectionTable, connections_in
    from hadirector.ipvs.settings import KernelSettings
    from hadirector.ipvs.table import modules_for
    from hadirector.tuner import Tuner

    with closing(kernel_table()) as kernel:
        actual, info = _asked(kernel.read()), _asked(kernel.info())
    connections = ConnectionTable(
        buckets=info.connection_table_size,
        connections=connections_in(actual),
        object_bytes=object_bytes(),
    )
    ahead = _ahead(config, actual)
    loading = modules.ahead(modules_for(ahead.plan.steps))
    remarks = (*ahead.remarks, *loading, *filter(None, [connections.advice]))
    with closing(Tuner(RUNTIME_DIR)) as tuner:
        settings = _asked(tuner.ahead(config.settings))
    ahead = replace(ahead, remarks=remarks, settings=settings, connections=connections)
    if config.connection_sync is None:
        return ahead
    with closing(KernelSettings()) as kernel_settings:
        return with_sync(ahead, config, node, _asked(kernel_settings.daemons()))


def _asked(work: Coroutine[None, None, T]) -> T:
    """The answer of a dataplane; raises CliError."""
    from hadirector.ipvs.dataplane import DataplaneError

    try:
        return asyncio.run(work)
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error


def with_sync(ahead: Ahead, config: Config, node: str, running: Daemons) -> Ahead:
    """The plan with what connection sync needs, as far as that is known without VRRP."""
    from hadirector.connection_sync import by_file_alone, steps

    sync = config.connection_sync
    if sync is None:
        return ahead
    sync = sync.on(node)
    roles = by_file_alone(sync, node, running)
    remark: tuple[str, ...] = ()
    if sync.follows:
        remark = (f"connection sync {sync}: `hadirector run` starts it, by the role in VRRP",)
    elif node not in sync.duties:
        names = " or ".join(f"--node {name}" for name in sync.duties)
        remark = (f"connection sync {sync}: which director is this? say {names}",)
    return replace(
        ahead, sync=steps(sync.daemons(roles), running), remarks=(*ahead.remarks, *remark)
    )


def look_ahead(config: Config, dataplane: Dataplane) -> Ahead:
    """Compare the file, all its servers up, with a table; raises CliError."""
    return _ahead(config, _asked(dataplane.read()))


@without_collection()
def _ahead(config: Config, actual: Table) -> Ahead:
    from hadirector.departures import lowered
    from hadirector.impact import Quorum, impact
    from hadirector.plan import plan
    from hadirector.pool import desired_table, everything_up
    from hadirector.timed_drain import drain_of

    desired = desired_table(everything_up(service) for service in config.services)
    ahead = plan(desired, actual, undeclared=config.undeclared)
    quorums = {
        key: Quorum(each.name, each.quorum.servers_needed([one.weight for one in each.servers]))
        for each in config.services
        for key in each.listens
    }
    odd = tuple(f"in the kernel, and left alone: {oddity}" for oddity in actual.oddities)
    drain = drain_of(config)
    return Ahead(
        ahead,
        impact(ahead, actual, desired, quorums),
        remarks=odd,
        drain=drain,
        lowers=lowered(ahead.steps, actual) if drain.time_s else (),
    )


def show(ahead: Ahead, *, as_json: bool) -> None:
    """Print a plan, step by step, and what it would mean."""
    if as_json:
        print(json.dumps(as_document(ahead), indent=2))
        return
    for sentence in (*ahead.settings, *ahead.plan.steps, *ahead.sync):
        print(f"  {sentence}")
    if ahead.lowers:
        servers = f"{len(ahead.lowers)} server{'s' * (len(ahead.lowers) != 1)}"
        print(
            f"  before anything is removed: weight 0 for {servers}, until the connections have "
            f"ended, {ahead.drain_s:g} s at most"
        )
    for key in ahead.plan.kept:
        print(f"  leave alone, not in the file: {key}")
    for remark in ahead.remarks:
        print(f"  {remark}")
    if ahead.connections is not None:
        print(f"  {ahead.connections}")
    for what in ahead.impact.sentences:
        print(f"impact: {what}")
    print(f"plan: {summary(ahead)}")


def summary(ahead: Ahead) -> str:
    """The plan in a few words."""
    settings, daemons = len(ahead.settings), len(ahead.sync)
    parts = [
        f"change {settings} setting{'s' * (settings != 1)}" if settings else "",
        ahead.plan.summary if ahead.plan else "",
        f"change {daemons} sync daemon{'s' * (daemons != 1)}" if daemons else "",
    ]
    return ", ".join(filter(None, parts)) or ahead.plan.summary


def as_document(ahead: Ahead) -> dict[str, object]:
    """A plan for programs."""
    return {
        "summary": summary(ahead),
        "settings": [str(change) for change in ahead.settings],
        "steps": [str(step) for step in ahead.plan.steps],
        "drains": [str(step) for step in ahead.lowers],
        "sync": [str(step) for step in ahead.sync],
        "remarks": list(ahead.remarks),
        "connection_table": ahead.connections and ahead.connections.document,
        "kept": [str(key) for key in ahead.plan.kept],
        "impact": list(ahead.impact.sentences),
        "changes": ahead.impact.changes,
    }
