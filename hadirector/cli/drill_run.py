"""`hadirector drill run NAME`: one fault on the running pair, shown first, measured, put back."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from hadirector.cli.arguments import address, duration
from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.drill_history import add_state_dir
from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError
from hadirector.cli.override import account
from hadirector.cli.verdicts import add_report, refuse_odd_reports, show_report, show_result

if TYPE_CHECKING:
    from hadirector.drill.askers import Asker, Asking
    from hadirector.drill.course import Course
    from hadirector.drill.live import Drill, Facts, Promise
    from hadirector.drill.sequence import Step

SUMMARY = "carry out a drill on the running pair, with the outage measured"
EVENTS_ASKED = 500
KEPT = 10
SETTLE_S = 1.0
PROBES_MAX = 8

_EPILOG = """\
It acts on the director that it is run on. Everything is shown before anything happens, and put back
at the end, also when this command is interrupted, killed, or loses its terminal; nothing that it
does outlives a reboot. When clients wait longer than the budget, it is put back at once.

  hadirector drill list                                   what there is
  hadirector drill run switchover --dry-run               what would be done
  hadirector drill run switchover --via "ssh client"      asked from a client's host
  hadirector drill run crash-vrrp --via "ssh client" --probe http://192.0.2.100/ --report out.html

A director does not ask itself over the wire for an address that it holds: use --via. hadirector
must be there as well. Without --via and --probe, nothing is measured but what the pair itself says.

exit codes: 0 passed; 1 failed or refused, and why; 2 wrong usage; 3 there is no daemon"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the word."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="which; see: hadirector drill list")
    parser.add_argument("--dry-run", action="store_true", help="show the steps and do nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask before the first step")
    parser.add_argument(
        "--force", action="store_true", help="although something speaks against it that may"
    )
    parser.add_argument(
        "--budget", type=duration, metavar="TIME", help="how long clients may wait for an answer"
    )
    parser.add_argument(
        "--service",
        default="",
        metavar="NAME",
        help="whose servers (default: the first that suits)",
    )
    parser.add_argument("--interface", default="", metavar="NAME", help="which link (link-loss)")
    asking = parser.add_argument_group("who asks meanwhile")
    asking.add_argument(
        "--via", default="", metavar="COMMAND", help='what leads to a client: "ssh client"'
    )
    asking.add_argument(
        "--probe",
        action="append",
        default=[],
        metavar="URL",
        help="tcp://, http://, udp:// or ping://, as of `drill probe`; may be given several times "
        "(default, with --via: the first service)",
    )
    asking.add_argument(
        "--every", default="10ms", metavar="TIME", help="between two probes (default: 10ms)"
    )
    asking.add_argument("--source", type=address, metavar="ADDRESS", help="ask from this address")
    asking.add_argument("--send", default="", metavar="TEXT", help="what to say (tcp, udp)")
    asking.add_argument("--expect", default="", metavar="TEXT", help="what must come back")
    asking.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help=f"TCP connections held open over it (default: {KEPT} with --via, else none)",
    )
    add_runtime_dir(parser)
    add_state_dir(parser)
    add_report(parser)


def execute(args: argparse.Namespace) -> int:
    """Look, show, ask, do, judge, and keep."""
    from hadirector.config.diagnostics import choices
    from hadirector.drill import history
    from hadirector.drill.catalogue import DRILLS
    from hadirector.drill.facts import gather

    if args.name not in DRILLS:
        sentence = f'no drill is called "{args.name}"'
        raise CliError(sentence, choices(args.name, DRILLS), EXIT_INVALID)
    refuse_odd_reports(args.report)
    out = sys.stderr if args.json == "-" else sys.stdout
    drill = DRILLS[args.name]
    facts = gather(args.runtime_dir, service=args.service, interface=args.interface)
    askings = _askings(args, facts)
    budget_ms = drill.budget_ms(facts) if args.budget is None else args.budget * 1000
    if not _may(drill, facts, out, force=args.force):
        return EXIT_NO
    steps, promises = drill.plan(facts)
    print(f"{drill.name} on {facts.node}: {drill.title}", file=out)
    for line in _shown(steps, promises, askings, budget_ms):
        print(f"  {line}", file=out)
    if args.dry_run:
        print("nothing was done (--dry-run)", file=out)
        return EXIT_YES
    if not args.yes:
        _confirm()
    try:
        with history.alone(args.state_dir):
            return _conduct(args, drill, facts, askings, budget_ms)
    except history.BusyError:
        raise CliError("another drill is under way here", "wait for its end", EXIT_NO) from None
    except OSError as error:
        sentence = f"{args.state_dir}: {error.strerror or error}"
        raise CliError(sentence, "run this as root, or see --state-dir", EXIT_CANNOT) from error


def _askings(args: argparse.Namespace, facts: Facts) -> list[Asking]:
    from hadirector.drill.askers import Asking
    from hadirector.drill.live import first_url
    from hadirector.drill.probing import AimError, aim_at

    urls = args.probe
    if args.via and not urls:
        default = first_url(facts)
        if not default:
            raise CliError(
                "no service has an address to ask", "name one with --probe", EXIT_INVALID
            )
        urls = [default]
    if len(urls) > PROBES_MAX:
        raise CliError(f"more than {PROBES_MAX} probes", "leave some out", EXIT_INVALID)
    if args.keep is not None and not 0 <= args.keep <= 1000:
        raise CliError("--keep takes up to 1000 connections", "", EXIT_INVALID)
    try:
        if not 0.001 <= duration(args.every) <= 60:
            raise argparse.ArgumentTypeError("--every takes 1ms to 60s")
        for url in urls:
            aim_at(url, send=args.send or None, expect=args.expect or None)
    except argparse.ArgumentTypeError as error:
        raise CliError(str(error), "write it as 10ms", EXIT_INVALID) from error
    except AimError as error:
        raise CliError(str(error), error.hint, EXIT_INVALID) from error
    keep = args.keep if args.keep is not None else KEPT if args.via else 0
    return [
        Asking(
            url=url,
            via=args.via,
            every=args.every,
            source=str(args.source or ""),
            send=args.send,
            expect=args.expect,
            keep=keep,
        )
        for url in urls
    ]


def _may(drill: Drill, facts: Facts, out: TextIO, *, force: bool) -> bool:
    """Say what is missing; returns whether it may go on all the same."""
    from hadirector.drill.live import obstacles

    found = obstacles(drill, facts)
    final = any(each.final for each in found)
    if not found or (force and not final):
        for each in found:
            print(f"forced although: {each.sentence}", file=out)
        return True
    print("refused:", file=out)
    for each in found:
        print(f"  {each.sentence}", file=out)
    if not final:
        print("--force overrides it", file=out)
    return False


def _shown(
    steps: Iterable[Step], promises: Iterable[Promise], askings: list[Asking], budget_ms: float
) -> Iterator[str]:
    """What will be done, line by line."""
    for number, step in enumerate(steps, 1):
        yield f"{number}. {step.text}{'' if step.act is None else f': {step.act}'}"
        if step.undo is not None:
            yield f"   put back by: {step.undo}"
    for promise in promises:
        yield f"expected within {promise.within_ms / 1000:g} s: {promise.text}"
    for asking in askings:
        where = f"via {asking.via}" if asking.via else "from here"
        yield f"asked meanwhile: {asking.url} every {asking.every}, {where}"
    if askings:
        yield f"put back at once when nobody is answered for {budget_ms:.0f} ms"
    else:
        yield "nobody asks meanwhile: the outage is not measured (--via, --probe)"


def _confirm() -> None:
    """Raises CliError unless somebody at a terminal says yes."""
    if not sys.stdin.isatty():
        raise CliError("nobody is there to confirm it", "add --yes", EXIT_INVALID)
    if input("Do it? Write yes: ").strip() != "yes":
        raise CliError("nothing was done", "", EXIT_NO)


def _conduct(
    args: argparse.Namespace,
    drill: Drill,
    facts: Facts,
    askings: list[Asking],
    budget_ms: float,
) -> int:
    from rich.console import Console

    from hadirector.drill import history, result
    from hadirector.drill.verdict import judged

    console = Console(highlight=False, stderr=args.json == "-")
    askers, course = asyncio.run(_asked(drill, facts, askings, budget_ms, console))
    events: Any = ask(args.runtime_dir, f"/events?count={EVENTS_ASKED}")["events"]
    summaries: list[dict[str, Any] | None] = [
        asker.summary
        and {**asker.summary, "gap_began_at": asker.here(asker.summary["gap_began_at"])}
        for asker in askers
    ]
    found = judged(
        drill, facts, course, summaries=summaries, events=events, budget_ms=budget_ms
    ).to_json()
    record = {
        "at": time.time(),
        "node": facts.node,
        "file": facts.status["file"],
        "by": account() or getpass.getuser(),
        "result": found,
    }
    history.add(args.state_dir, record)
    show_result(found, console)
    document = result.report([found], file=str(facts.status["file"]), kernel="this host's kernel")
    return show_report(document, console, json_to=args.json, files=args.report)


async def _asked(
    drill: Drill, facts: Facts, askings: list[Asking], budget_ms: float, console: Any
) -> tuple[list[Asker], Course]:
    """Raises CliError when nobody answers to begin with."""
    from hadirector.connection_sync import SYNC_WINDOW_S
    from hadirector.drill import askers as clients
    from hadirector.drill.conduct import Conductor, answered

    askers = await clients.start(askings)
    try:
        if silent := await answered(askers):
            raise CliError("; ".join(silent), "nothing was done; see --probe and --via", EXIT_NO)
        keeps = any(asking.keep for asking in askings)
        await asyncio.sleep(SYNC_WINDOW_S + SETTLE_S if keeps else SETTLE_S)
        steps, promises = drill.plan(facts)
        conductor = Conductor(
            facts,
            steps,
            promises,
            askers=askers,
            budget_ms=budget_ms,
            tell=lambda line: console.print(line, markup=False),
        )
        return askers, await conductor.run()
    finally:
        await asyncio.gather(*(asker.finish() for asker in askers))
