"""`hadirector explain`: why something is as it is."""

from __future__ import annotations

import argparse
import json
import time
from typing import cast
from urllib.parse import quote

from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_YES

SUMMARY = "why a service, server or virtual router is in its state"

_EPILOG = """\
  hadirector explain web                        a service: its servers, quorum, fallback
  hadirector explain web/198.51.100.21:8080     a server: its weight, check and last results
  hadirector explain front                      a virtual router: its state and who else speaks"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("what", metavar="WHAT", help="SERVICE, SERVICE/SERVER or VIRTUAL-ROUTER")
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print the reasons."""
    reply = ask(args.runtime_dir, f"/explain?what={quote(args.what, safe='')}")
    if args.json:
        print(json.dumps(reply, indent=2))
        return EXIT_YES
    state = f" is {reply['state']}" if reply.get("state") else ""
    since = reply.get("since")
    if isinstance(since, float | int):
        state += f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(since))}"
    print(f"{reply['kind']} {reply['name']}{state}")
    for sentence in cast("list[str]", reply["because"]):
        print(f"  {sentence}")
    for one in cast("list[dict[str, object]]", reply.get("overrides", [])):
        ordered = time.localtime(cast(float, one["since"]))
        at = time.strftime("%Y-%m-%d %H:%M:%S", ordered)
        print(f"  {one['order']} was ordered at {at} by {one['by']}")
    for result in cast("list[dict[str, object]]", reply.get("results", [])):
        at = _moment(cast(float, result["at"]))
        verdict = "pass" if result["healthy"] else "FAIL"
        took = f"{result['latency_ms']:.1f} ms"
        label = f"{result['check']}: " if result.get("check") else ""
        found = f"{result['reason']:<16} {took:>9}  {label}{result['sentence']}"
        print(f"    {at}  {verdict}  {found}")
    return EXIT_YES


def _moment(at: float) -> str:
    """The time; with its day where that is another one, since failures are kept for long."""
    then, today = time.localtime(at), time.localtime()
    is_today = (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", then)
