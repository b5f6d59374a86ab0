"""`hadirector sync status`: the daemons, and how much of what was told this kernel holds."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_CANNOT, EXIT_NO, EXIT_YES, CliError
from hadirector.cli.sync_watch import (
    Where,
    add_where,
    as_document,
    hearing,
    listen,
    running_daemons,
    seconds,
    where_to_listen,
)

if TYPE_CHECKING:
    from hadirector.ipvs.connections import Connection
    from hadirector.ipvs.control import Daemons
    from hadirector.ipvs.synctally import Coverage, Lag, Tally

SUMMARY = "the sync daemons here, and how much of what is told this kernel holds"

CONNECTIONS = Path("/proc/thread-self/net/ip_vs_conn")
LISTEN_S = 13.0
LOOK_EVERY_S = 1.0
CONNECTIONS_FOR_LAG_MAX = 50_000
"""To read more of them every second would cost this host more than the answer is worth."""

_EPILOG = """\
It listens for a while (--seconds; by default one refresh of 10 s and the kernel's own delay), then
compares what was told with the kernel's connections: at a receiver, how many of those heard of it
holds; at a sender, how many of those it holds were told of, and how long after they began (looked
at every second; the kernel gathers for up to 2 s).

exit codes: 0 it is as it should be; 1 something is not, and is named; 3 no sync daemon runs here"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the word."""
    parser.epilog = _EPILOG
    add_where(parser)
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=LISTEN_S,
        metavar="S",
        help="how long to listen (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for programs")


def execute(args: argparse.Namespace) -> int:
    """Listen, compare, tell."""
    from hadirector.ipvs.control import SyncRole
    from hadirector.ipvs.synctally import Lag, Tally, coverage
    from hadirector.sync_ear import dropped

    running, unknown = running_daemons()
    if not running:
        raise CliError(unknown or "no sync daemon runs here", "see: hadirector status", EXIT_CANNOT)
    where = where_to_listen(args, running, unknown)
    began = time.monotonic()
    tally = Tally(sync_id=where.sync_id, now=began)
    drops_before = dropped(where.port, where.ports)
    lag: Lag | None = Lag() if SyncRole.ACTIVE in running else None
    with hearing(where) as ear:
        for _ in listen(ear, tally, seconds=args.seconds, every_s=LOOK_EVERY_S):
            few = list(islice(_connections(), CONNECTIONS_FOR_LAG_MAX + 1)) if lag else []
            if len(few) > CONNECTIONS_FOR_LAG_MAX:
                lag = None
            elif lag is not None:
                lag.look(tally, few, time.monotonic())
    drops = dropped(where.port, where.ports)
    held, told = coverage(tally, _connections())
    faults = [*_thin(running, held), *_faults(running, where, tally, drops - drops_before)]
    document: dict[str, object] = {
        "daemons": [str(daemon) for daemon in running.values()],
        "seconds": round(time.monotonic() - began, 1),
        "held_of_heard": _as_json(held),
        "told_of_held": _as_json(told),
        "told_after_s": _lag_as_json(lag),
        "dropped": {"now": drops - drops_before, "ever": drops},
        "faults": faults,
        "heard": as_document(tally, records_per_s=tally.records / tally.seconds(time.monotonic())),
    }
    if args.json:
        print(json.dumps(document, indent=2))
    else:
        _show(running, tally, (held, told), lag, faults)
    return EXIT_NO if faults else EXIT_YES


def _connections() -> Iterator[Connection]:
    """The kernel's connections, one by one. Raises CliError."""
    from hadirector.ipvs.connections import parse_connections

    try:
        with CONNECTIONS.open() as lines:
            yield from (one for one in parse_connections(lines) if one is not None)
    except OSError as error:
        raise CliError(f"{CONNECTIONS}: {error.strerror}", "modprobe ip_vs", EXIT_CANNOT) from error


def _lag_as_json(lag: Lag | None) -> dict[str, object] | None:
    if lag is None:
        return None
    after = lag.told_after_s
    waiting = lag.waiting_s(time.monotonic())
    return {
        "connections": len(after),
        "median": round(statistics.median(after), 1) if after else None,
        "most": round(max(after), 1) if after else None,
        "waiting": len(waiting),
        "waiting_most": round(max(waiting), 1) if waiting else None,
    }


def _thin(running: Daemons, held: Coverage) -> list[str]:
    """A receiver that does not take in what it is told of."""
    from hadirector.ipvs.control import SyncRole
    from hadirector.peer.switchover import SYNCED_PERCENT

    share = held.share
    if SyncRole.BACKUP not in running or share is None or share >= SYNCED_PERCENT / 100:
        return []
    missing = held.of - held.known
    return [f"this kernel does not hold {missing} connections that it was told of and that go on"]


def _faults(running: Daemons, where: Where, tally: Tally, drops: int) -> list[str]:
    from hadirector.ipvs.control import SyncRole

    faults = []
    others = {name: sender for name, sender in tally.senders.items() if not sender.own}
    for name, sender in tally.senders.items():
        for cause, count in sender.wrong.items():
            faults.append(f"{count} datagrams from {name}: {cause}")
    right = [name for name, sender in others.items() if not sender.wrong]
    if len(right) > 1:
        faults.append(f"{len(right)} others send with our id: {', '.join(right)}")
    if SyncRole.BACKUP in running and SyncRole.ACTIVE not in running and not others:
        faults.append(f"nothing was heard on {where.interface}: does the active director send?")
    if drops:
        faults.append(f"{drops} datagrams were dropped: this kernel had no room for them")
    return faults


def _as_json(found: Coverage) -> dict[str, object]:
    share = None if found.share is None else round(found.share, 4)
    return {"of": found.of, "known": found.known, "share": share}


def _show(
    running: Daemons,
    tally: Tally,
    both: tuple[Coverage, Coverage],
    lag: Lag | None,
    faults: list[str],
) -> None:
    from hadirector.ipvs.control import SyncRole

    held, told = both
    for daemon in running.values():
        print(daemon)
    if SyncRole.BACKUP in running:
        print(f"holds {held.known} of the {held.of} connections that were heard of and go on")
    if SyncRole.ACTIVE in running:
        print(
            f"told of {told.known} of its {told.of} connections that go on, in this time "
            "(a silent one is told of when it begins, and not again)"
        )
        print(_lag_sentence(lag))
    print(f"heard {tally.records} records in {tally.datagrams} datagrams")
    for fault in faults:
        print(f"fault: {fault}")


def _lag_sentence(lag: Lag | None) -> str:
    if lag is None:
        return (
            f"there are more than {CONNECTIONS_FOR_LAG_MAX} connections: how long it takes to tell "
            "of one was not looked at"
        )
    after, waiting = lag.told_after_s, lag.waiting_s(time.monotonic())
    if not after and not waiting:
        return "no connection began meanwhile, so how long it takes to tell of one was not seen"
    parts = []
    if after:
        parts.append(
            f"{len(after)} that began meanwhile were told of within {statistics.median(after):.0f} "
            f"s (median; {max(after):.0f} s at most)"
        )
    if waiting:
        parts.append(f"{len(waiting)} not yet, for up to {max(waiting):.0f} s")
    return "; ".join(parts)
