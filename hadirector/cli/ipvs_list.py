"""`hadirector ipvs list`: services, servers, counters, connections, time-outs and daemons.

Everything is printed as it is read, so a large table needs no more memory than a small one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import closing
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, TypeVar

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.ipvs.connections import Connection, Filter
    from hadirector.ipvs.listing import Json, View
    from hadirector.ipvs.model import DestinationKey, ServiceKey

T = TypeVar("T")

SUMMARY = "show the kernel's table, its counters, connections, time-outs or sync daemons"

CONNECTIONS = "/proc/thread-self/net/ip_vs_conn"
PROGRESS_EVERY_S = 1.0

_EPILOG = """\
  hadirector ipvs list                               active and inactive connections per server
  hadirector ipvs list tcp://192.0.2.100:80 --stats  totals of one service, exact
  hadirector ipvs list --json                        everything, for programs
  hadirector ipvs list --connections --server 198.51.100.21:80 --state ESTABLISHED

exit code: 0; 1 where SERVICE is not in the table"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("service", nargs="?", metavar="SERVICE", help="tcp://192.0.2.100:80")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stats", action="store_true", help="totals since the entry was made")
    what.add_argument("--rate", action="store_true", help="rates per second")
    what.add_argument("--thresholds", action="store_true", help="upper and lower thresholds")
    what.add_argument("--persistent", action="store_true", help="persistent connections")
    what.add_argument("--connections", action="store_true", help="the connections themselves")
    what.add_argument("--timeout", action="store_true", help="time-outs of connections")
    what.add_argument("--daemon", action="store_true", help="connection-sync daemons")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    chosen = parser.add_argument_group("with --connections")
    chosen.add_argument("--client", metavar="NETWORK", help="only clients of this network")
    chosen.add_argument("--server", metavar="ADDRESS:PORT", help="only this server; port 0: any")
    chosen.add_argument("--state", metavar="STATE", help="only this state: ESTABLISHED, FIN_WAIT")
    chosen.add_argument("--templates", action="store_true", help="only persistence templates")


def execute(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from hadirector import preflight

    named = None if args.service is None else service_of(args.service)
    preflight.privileges()
    preflight.kernel_has_ipvs()
    if args.connections:
        return _list_connections(_filter(args, named), as_json=args.json)
    if any((args.client, args.server, args.state, args.templates)):
        raise CliError("these filters are for --connections", "add it", EXIT_INVALID)
    if args.timeout:
        return _list_timeouts(as_json=args.json)
    if args.daemon:
        return _list_daemons(as_json=args.json)
    return _list_table(named, _view(args), as_json=args.json)


def _view(args: argparse.Namespace) -> View:
    from hadirector.ipvs.listing import View

    return next((view for view in View if getattr(args, view, False)), View.TABLE)


def _list_table(named: ServiceKey | None, view: View, *, as_json: bool) -> int:
    from hadirector.ipvs.listing import entry_json, entry_lines, heading
    from hadirector.ipvs.table import KernelTable

    found = 0
    oddities: list[str] = []

    async def show() -> None:
        nonlocal found
        array = _JsonArray() if as_json else None
        if array is None:
            print(heading(view))
        with closing(KernelTable()) as kernel:
            async for entry in kernel.entries(oddities, traffic=as_json or view.needs_traffic):
                if named in (None, entry.service.key):
                    found += 1
                    if array is not None:
                        array.add(entry_json(entry))
                    else:
                        print("\n".join(entry_lines(entry, view)))
        if array is not None:
            array.close()

    _run(show())
    for oddity in oddities:
        print(f"not shown: {oddity}", file=sys.stderr)
    if found or named is None:
        return EXIT_YES
    print(f"{named} is not in the table", file=sys.stderr)
    return EXIT_NO


def _list_connections(chosen: Filter, *, as_json: bool) -> int:
    try:
        with open(CONNECTIONS, encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - proc
            strange = show_connections(lines, chosen, as_json=as_json)
    except OSError as error:
        raise CliError(f"{CONNECTIONS}: {error.strerror}", "run as root", EXIT_CANNOT) from error
    if strange:
        print(f"not shown: {strange} lines that this version does not know", file=sys.stderr)
    return EXIT_YES


def show_connections(lines: Iterable[str], chosen: Filter, *, as_json: bool) -> int:
    """Print the chosen ones of these lines, one at a time; how many lines were not understood."""
    from hadirector.ipvs.connections import parse_connections
    from hadirector.ipvs.listing import connection_heading, connection_json, connection_line

    array = _JsonArray() if as_json else None
    if array is None:
        print(connection_heading())
    strange = shown = 0
    for one in _with_progress(parse_connections(lines)):
        if one is None:
            strange += 1
        elif chosen.admits(one):
            shown += 1
            if array is not None:
                array.add(connection_json(one))
            else:
                print(connection_line(one))
    if array is not None:
        array.close()
    else:
        print(f"{shown} connection{'s' * (shown != 1)}")
    return strange


def _with_progress(items: Iterable[Connection | None]) -> Iterator[Connection | None]:
    """The items; on a terminal whose output goes elsewhere, how many there were, every second."""
    telling = sys.stderr.isatty() and not sys.stdout.isatty()
    told_at, count = time.monotonic(), 0
    for count, item in enumerate(items, 1):
        if telling and time.monotonic() - told_at >= PROGRESS_EVERY_S:
            told_at = time.monotonic()
            print(f"\r{count} connections read", end="", file=sys.stderr, flush=True)
        yield item
    if telling:
        print(f"\r{count} connections read", file=sys.stderr)


def _list_timeouts(*, as_json: bool) -> int:
    from dataclasses import asdict

    from hadirector.ipvs.settings import KernelSettings

    with closing(KernelSettings()) as kernel:
        timeouts = _run(kernel.timeouts())
    print(json.dumps(asdict(timeouts)) if as_json else f"time-outs: {timeouts}")
    return EXIT_YES


def _list_daemons(*, as_json: bool) -> int:
    from hadirector.ipvs.settings import KernelSettings

    with closing(KernelSettings()) as kernel:
        found = _run(kernel.daemons()).values()
    if as_json:
        document = [
            {
                "role": str(daemon.role),
                "interface": daemon.interface,
                "sync_id": daemon.sync_id,
                "maxlen": daemon.maxlen,
                "group": str(daemon.group),
                "port": daemon.port,
                "ttl": daemon.ttl,
            }
            for daemon in found
        ]
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(map(str, found)) or "no sync daemon runs")
    return EXIT_YES


class _JsonArray:
    """Prints a JSON array item by item."""

    def __init__(self) -> None:
        self._separator = "[\n"

    def add(self, item: Json) -> None:
        """Print one more item."""
        print(f"{self._separator}  {json.dumps(item)}", end="")
        self._separator = ",\n"

    def close(self) -> None:
        """Print the end."""
        print("[]" if self._separator == "[\n" else "\n]")


def service_of(text: str) -> ServiceKey:
    """The service that somebody names on the command line; raises CliError."""
    from hadirector.config.addresses import AddressError, parse_listen

    try:
        return parse_listen(text)
    except AddressError as error:
        raise CliError(str(error), error.hint, EXIT_INVALID) from error


def _filter(args: argparse.Namespace, named: ServiceKey | None) -> Filter:
    from hadirector.config.addresses import AddressError, parse_endpoint
    from hadirector.ipvs.connections import Filter
    from hadirector.ipvs.model import DestinationKey, FirewallMark

    client: IPv4Network | IPv6Network | None = None
    server: DestinationKey | None = None
    try:
        client = ip_network(args.client) if args.client else None
        server = parse_endpoint(args.server) if args.server else None
    except AddressError as error:
        raise CliError(str(error), error.hint, EXIT_INVALID) from error
    except ValueError as error:
        raise CliError(str(error), "write 192.0.2.0/24", EXIT_INVALID) from error
    if isinstance(named, FirewallMark):
        raise CliError(
            "the kernel's connections do not tell their firewall mark",
            "name a server instead: --server ADDRESS:PORT",
            EXIT_INVALID,
        )
    return Filter(
        client=client,
        virtual=None if named is None else DestinationKey(named.address, named.port),
        protocol=None if named is None else str(named.protocol).upper(),
        server=server,
        state=args.state,
        templates=True if args.templates else None,
    )


def _run(work: Awaitable[T]) -> T:
    from hadirector.ipvs.dataplane import DataplaneError

    async def awaited() -> T:
        return await work

    try:
        return asyncio.run(awaited())
    except DataplaneError as error:
        raise CliError(str(error), error.remedy, EXIT_CANNOT) from error
