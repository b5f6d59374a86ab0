"""`hadirector probe FILE SERVICE[/SERVER]`: one round of configured checks, by hand.

It needs no daemon and tells none: the verdict is that of one probe, before rise and fall.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from checkers.base import ProbeError, Result
    from checkers.check import Check
    from checkers.health import State
    from hadirector.checks import ServerChecks

    Outcome = Result | ProbeError

SUMMARY = "run a configured check once, by hand, and show what it did step by step"
AT_ONCE_MAX = 32  # of a service with ten thousand servers
LOADED_BY_PROBES = ("ssl", "checkers.dial", "checkers.exchange", "checkers.replies")

_EPILOG = """\
  hadirector probe pair.yaml web/198.51.100.21:8080    one server
  hadirector probe pair.yaml web                       every server of a service
  hadirector probe pair.yaml web --json                for programs (docs/status.md)

The check is that of the file: its options, its port, its timeout. It is made from here, once, and
no daemon hears of it: one failure takes no server out. Run it where the daemon runs, as the same
user, to see what the daemon sees.

exit codes: 0 healthy (every server); 1 not; 2 no such service or server, or an invalid file; 3 the
probe could not be made (no route, no privilege), which says nothing about the server"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration file")
    parser.add_argument(
        "what", metavar="SERVICE[/SERVER]", help="whom to check: web, web/198.51.100.21:8080"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def execute(args: argparse.Namespace) -> int:
    """Make the probes and print what each found."""
    # Imported here: `--help` should not wait for pydantic.
    from checkers.health import State
    from hadirector.checks import checks_of
    from hadirector.cli.loading import load_or_fail
    from hadirector.names import servers_called
    from hadirector.router_answers import UnknownSubjectError

    config = load_or_fail(args.file)
    try:
        named = servers_called(config, args.what)
    except UnknownSubjectError as error:
        raise CliError(str(error), code=EXIT_INVALID) from error
    found = [one for key, one in checks_of(config.services).items() if key in named]
    checks = {check.key: check for server in found for check in server.checks}
    for module in LOADED_BY_PROBES:  # now, so that the first server's latency is its own
        importlib.import_module(module)
    tell = _nothing if args.json else _print
    outcomes = asyncio.run(_probe_all(checks, tell))
    verdicts = [_together(server, outcomes) for server in found]
    if args.json:
        print(json.dumps(_as_json(checks, outcomes, verdicts), indent=2))
    elif len(outcomes) > 1:
        healthy = sum(verdict is State.UP for verdict in verdicts)
        servers = "server" if len(verdicts) == 1 else "servers"
        print(f"{healthy} of {len(verdicts)} {servers} healthy")
    return _exit_code(verdicts)


async def _probe_all(
    checks: Mapping[str, Check], tell: Callable[[str, Check, Outcome], None]
) -> dict[str, Outcome]:
    """Probe side by side; tell of each in the order of the file, as soon as that is known."""
    room = asyncio.Semaphore(AT_ONCE_MAX)
    outcomes: dict[str, Outcome] = {}
    async with asyncio.TaskGroup() as group:
        tasks = {key: group.create_task(_probe(check, room)) for key, check in checks.items()}
        for key, task in tasks.items():
            outcomes[key] = await task
            tell(key, checks[key], outcomes[key])
    return outcomes


async def _probe(check: Check, room: asyncio.Semaphore) -> Outcome:
    from checkers.base import ProbeError
    from checkers.once import run_once

    async with room:
        try:
            return await run_once(check)
        except ProbeError as error:
            return error


def _verdict(outcome: Outcome) -> State:
    """What one probe says; unknown: it could not be made."""
    from checkers.health import State

    if isinstance(outcome, Exception):
        return State.UNKNOWN
    return State.UP if outcome.healthy else State.DOWN


def _together(server: ServerChecks, outcomes: Mapping[str, Outcome]) -> State:
    """What the checks of a server say together; those that only warn do not count."""
    from checkers.combination import combined

    counting = server.checks[: len(server.checks) - server.advisory]
    return combined([_verdict(outcomes[check.key]) for check in counting], server.require)


def _exit_code(verdicts: Collection[State]) -> int:
    """A server that failed is an answer, whatever became of the other probes."""
    from checkers.health import State

    if State.DOWN in verdicts:
        return EXIT_NO
    return EXIT_CANNOT if State.UNKNOWN in verdicts else EXIT_YES


def _nothing(_key: str, _check: Check, _outcome: Outcome) -> None:
    """For programs, all is told at the end."""


def _print(key: str, check: Check, outcome: Outcome) -> None:
    from hadirector.pool import describe

    print(f"{key}: {check.describe()}, within {check.timing.timeout:g} s")
    if isinstance(outcome, Exception):
        print(f"  could not be made, so nothing is known about the server: {outcome}", flush=True)
        return
    for line in outcome.transcript:
        print(f"  {line}")
    verdict = "pass" if outcome.healthy else "FAIL"
    print(f"  {verdict}  {outcome.reason}  {outcome.sentence}", flush=True)
    if outcome.advice is not None:
        print(f"  {describe(outcome.advice)}", flush=True)


def _as_json(
    checks: Mapping[str, Check], outcomes: Mapping[str, Outcome], verdicts: Collection[State]
) -> dict[str, object]:
    from checkers.health import State
    from hadirector.checks import label_of, server_of

    return {
        "healthy": all(verdict is State.UP for verdict in verdicts),
        "probes": [
            {
                "server": server_of(key),
                "label": label_of(key) or None,
                "check": checks[key].describe(),
                "timeout_ms": checks[key].timing.timeout * 1000,
                **_told(outcome),
            }
            for key, outcome in outcomes.items()
        ],
    }


def _told(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Exception):
        unknown: dict[str, object] = {
            "latency_ms": None,
            "at": None,
            "advice": None,
            "transcript": [],
        }
        return {"healthy": None, "reason": "socket", "sentence": str(outcome), **unknown}
    return {
        "healthy": outcome.healthy,
        "reason": str(outcome.reason),
        "sentence": outcome.sentence,
        "latency_ms": outcome.latency_ms,
        "at": outcome.at,
        "advice": asdict(outcome.advice) if outcome.advice is not None else None,
        "transcript": list(outcome.transcript),
    }
