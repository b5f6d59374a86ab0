"""`hadirector sync watch`: the sync traffic of an interface, decoded and added up as it flows."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_YES, CliError

if TYPE_CHECKING:
    from hadirector.ipvs.control import Daemons
    from hadirector.ipvs.model import Address
    from hadirector.ipvs.synctally import Tally
    from hadirector.sync_ear import SyncEar

SUMMARY = "who sends connection sync here: records, services, bytes, ids, versions, faults"

SERVICES_SHOWN_MAX = 20
LOOK_S = 0.5

_EPILOG = """\
Where a sync daemon runs, its interface, group, port and id are taken; others may be given. It hears
what this host sends as well as what it receives, and needs CAP_NET_RAW.

  hadirector sync watch --seconds 10 --json"""


@dataclass(frozen=True, slots=True)
class Where:
    """What is listened to. `sync_id` None: any."""

    interface: str
    group: Address
    port: int
    ports: int
    sync_id: int | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the word."""
    parser.epilog = _EPILOG
    add_where(parser)
    parser.add_argument(
        "--seconds", type=seconds, default=math.inf, metavar="S", help="end after so many"
    )
    parser.add_argument(
        "--every", type=seconds, default=2.0, metavar="S", help="between two reports (default: 2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line for programs")


def add_where(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what to listen to."""
    parser.add_argument("interface", nargs="?", metavar="INTERFACE", help="where to listen")
    parser.add_argument("--group", metavar="ADDRESS", help="the multicast group")
    parser.add_argument("--port", type=_within(1, 65535), metavar="N", help="the first UDP port")
    parser.add_argument("--id", type=_within(0, 255), metavar="N", help="the sync id that is ours")


def _within(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return number


def seconds(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def execute(args: argparse.Namespace) -> int:
    """Report until the time is over or somebody interrupts."""
    from hadirector.ipvs.synctally import Tally

    running, unknown = running_daemons()
    where = where_to_listen(args, running, unknown)
    tally = Tally(sync_id=where.sync_id, now=time.monotonic())
    before = 0
    with suppress(KeyboardInterrupt), hearing(where) as ear:
        if not args.json:
            ours = "any id" if where.sync_id is None else f"id {where.sync_id}"
            print(f"listening on {where.interface} to {where.group} port {where.port}, {ours}")
        for elapsed_s in listen(ear, tally, seconds=args.seconds, every_s=args.every):
            rate = (tally.records - before) / elapsed_s
            before = tally.records
            document = as_document(tally, records_per_s=rate)
            print(json.dumps(document) if args.json else "\n".join(_lines(document)), flush=True)
    return EXIT_YES


@contextmanager
def hearing(where: Where) -> Iterator[SyncEar]:
    """Have an ear for what is sent there. Raises CliError."""
    from hadirector.sync_ear import EarError, SyncEar

    try:
        with closing(SyncEar(where.interface, where.group, where.port, ports=where.ports)) as ear:
            yield ear
    except EarError as error:
        raise CliError(str(error), "name another interface, or run as root", EXIT_CANNOT) from error


def listen(ear: SyncEar, tally: Tally, *, seconds: float, every_s: float) -> Iterator[float]:
    """Hear into the tally; yields, each time a report is due, how many seconds it covers."""
    began = last = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        if now >= last + every_s:
            yield now - last
            last = now
        left = min(began + seconds, last + every_s) - now
        if (heard := ear.hear(min(left, LOOK_S))) is not None:
            tally.hear(heard[0], time.monotonic(), own=heard[1])
    yield max(time.monotonic() - last, 1e-3)


def running_daemons() -> tuple[Daemons, str]:
    """The kernel's sync daemons, and why it cannot be asked: empty where it can."""
    from hadirector.ipvs.dataplane import DataplaneError
    from hadirector.ipvs.settings import KernelSettings

    with closing(KernelSettings()) as kernel:
        try:
            return asyncio.run(kernel.daemons()), ""
        except DataplaneError as error:
            return {}, str(error)


def where_to_listen(args: argparse.Namespace, running: Daemons, unknown: str) -> Where:
    """As the arguments say, else as the daemons that run, or why these are unknown.

    Raises CliError.
    """
    from hadirector.ipvs.control import SYNC_GROUP, SYNC_PORT

    daemon = next(iter(running.values()), None)
    interface = args.interface or (daemon.interface if daemon else None)
    if interface is None:
        raise CliError(
            unknown or "no sync daemon runs here", "name the interface to listen on", EXIT_INVALID
        )
    try:
        group = ipaddress.ip_address(args.group) if args.group else None
    except ValueError as error:
        raise CliError(str(error), "write 224.0.0.81 or ff02::81", EXIT_INVALID) from error
    port = args.port or (daemon.port if daemon else SYNC_PORT)
    if group is not None and not group.is_multicast:
        raise CliError(f"{group} is no multicast group", "write 224.0.0.81", EXIT_INVALID)
    return Where(
        interface,
        group or (daemon.group if daemon else SYNC_GROUP),
        port,
        sync_ports(),
        args.id if args.id is not None else (daemon.sync_id or None if daemon else None),
    )


def sync_ports() -> int:
    """On how many ports in a row this kernel synchronises."""
    try:
        return int(Path("/proc/sys/net/ipv4/vs/sync_ports").read_text())
    except (OSError, ValueError):
        return 1


def as_document(tally: Tally, *, records_per_s: float) -> dict[str, object]:
    """A tally for programs."""
    return {
        "records_per_s": round(records_per_s, 1),
        "datagrams": tally.datagrams,
        "bytes": tally.octets,
        "records": tally.records,
        "connections": len(tally.known),
        "beyond_bounds": tally.unheard,
        "services": [
            {"protocol": protocol, "address": address, "records": count}
            for (protocol, address), count in tally.services.most_common()
        ],
        "senders": [
            {
                "address": name,
                "own": sender.own,
                "datagrams": sender.datagrams,
                "bytes": sender.octets,
                "records": sender.records,
                "ids": sorted(sender.ids),
                "versions": sorted(sender.versions),
                "wrong": dict(sender.wrong),
            }
            for name, sender in tally.senders.items()
        ],
    }


def _lines(document: dict[str, object]) -> Iterator[str]:
    senders, services = document["senders"], document["services"]
    assert isinstance(senders, list)
    assert isinstance(services, list)
    yield (
        f"{document['records_per_s']:g} records/s; {document['records']} records of "
        f"{document['connections']} connections in {document['datagrams']} datagrams, "
        f"{document['bytes']} bytes"
    )
    for one in senders:
        ids = ", ".join(map(str, one["ids"])) or "none"
        versions = ", ".join(map(str, one["versions"])) or "none"
        wrong = "".join(f", {count} {cause}" for cause, count in one["wrong"].items())
        who = "this host" if one["own"] else "heard"
        yield (
            f"  from {one['address']} ({who}): {one['records']} records, id {ids}, "
            f"version {versions}{wrong}"
        )
    for one in services[:SERVICES_SHOWN_MAX]:
        yield f"  of {one['protocol']} {one['address']}: {one['records']} records"
    if len(services) > SERVICES_SHOWN_MAX:
        yield f"  and of {len(services) - SERVICES_SHOWN_MAX} more services"
