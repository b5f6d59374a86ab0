"""`hadirector rehearse`: drill the failovers of a file in a world made for it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_YES, CliError
from hadirector.cli.verdicts import add_report, refuse_odd_reports, show_report, show_result

if TYPE_CHECKING:
    from rich.console import Console

    from hadirector.config.model import Config
    from hadirector.drill.scenarios import Scenario

SUMMARY = "drill failovers of a configuration file in a world made of namespaces"

BOOT_BOUND_S = 120.0
SCENARIO_BOUND_S = 120.0
KERNELS = {"host": "this host's kernel", "embedded": "an embedded kernel"}

_DESCRIPTION = """\
Build a world from the configuration file (both directors, every real server, a client and the
networks between them) on a real kernel with IPVS, break one thing after another, and measure what
the clients notice. Nothing on this host is touched, and no root is needed: without a host kernel
that has IPVS, the world is built in an embedded kernel that runs as an ordinary process."""

_EPILOG = """\
examples:
  hadirector rehearse configs/quickstart.yaml
  hadirector rehearse FILE --list                       the scenarios, and which the file can show
  hadirector rehearse FILE --scenario power-loss --scenario director-returns
  hadirector rehearse FILE --report out.html --report out.xml    a page to look at, and JUnit
  hadirector rehearse FILE --scenario-file mine.yaml    scenarios of your own

exit codes: 0 every verdict passed; 1 one failed; 2 the file is not valid; 3 no kernel for it"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the configuration of the pair")
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="NAME",
        help="play this one only; may be given several times (default: all that the file can show)",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    add_report(parser)
    parser.add_argument(
        "--scenario-file",
        metavar="FILE",
        help="scenarios of your own (docs/drills.md); all of them, unless --scenario names some",
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the directors' logs and files in DIR")


def execute(args: argparse.Namespace) -> int:
    """Rehearse, show, and judge."""
    from hadirector.cli.loading import load_or_fail

    refuse_odd_reports(args.report)
    config = load_or_fail(args.file)
    scenarios = _scenarios(args, config)
    if args.list:
        return _list(config, scenarios)
    chosen = _choose(config, scenarios, args.scenario)
    for name in args.scenario or scenarios:
        why_not = scenarios[name].needs(config)
        if why_not is not None:
            print(f"{name} is left out: {why_not}", file=sys.stderr)
    return _rehearse(args, chosen)


def _scenarios(args: argparse.Namespace, config: Config) -> Mapping[str, Scenario]:
    """What may be played: hadirector's own scenarios, or those of the user's file beside them.

    With a file and no name, only those of the file are meant.
    """
    from hadirector.drill.scenario_file import load_scenarios
    from hadirector.drill.scenarios import SCENARIOS

    if args.scenario_file is None:
        return SCENARIOS
    read = load_scenarios(Path(args.scenario_file), config)
    if read.diagnostics:
        print(read.render(), file=sys.stderr)
    if not read.scenarios:
        sentence = f"{args.scenario_file} cannot be used"
        raise CliError(sentence, "correct it and try again", EXIT_INVALID)
    return {**SCENARIOS, **read.scenarios} if args.scenario else read.scenarios


def _choose(
    config: Config, scenarios: Mapping[str, Scenario], asked: list[str] | None
) -> list[Scenario]:
    from hadirector.config.diagnostics import choices

    for name in asked or ():
        if name not in scenarios:
            raise CliError(
                f'no scenario is called "{name}"', choices(name, scenarios), EXIT_INVALID
            )
    if not config.services:
        raise CliError("the file has no services to rehearse", "add one", EXIT_INVALID)
    # In the order of the table, whatever the order asked: some begin where another ends.
    wanted = [scenarios[name] for name in scenarios if not asked or name in asked]
    chosen = [scenario for scenario in wanted if scenario.needs(config) is None]
    if not chosen:
        raise CliError("the file can show none of the scenarios", "see --list", EXIT_INVALID)
    return chosen


def _list(config: Config, scenarios: Mapping[str, Scenario]) -> int:
    width = max(map(len, scenarios))
    for scenario in scenarios.values():
        why_not = scenario.needs(config)
        budget = f"budget {scenario.budget_ms(config):.0f} ms" if why_not is None else why_not
        print(f"{scenario.name:<{width}}  {scenario.title} ({budget})")
    return EXIT_YES


def _rehearse(args: argparse.Namespace, chosen: list[Scenario]) -> int:
    from rich.console import Console

    from hadirector.drill import result
    from hadirector.lab.errors import LabError, LabUnavailable
    from hadirector.lab.place import run_lab

    console = Console(highlight=False, stderr=args.json == "-")
    left_out: list[str] = []
    names = [scenario.name for scenario in chosen]
    bound_s = BOOT_BOUND_S + SCENARIO_BOUND_S * len(names)
    try:
        with _workdir(args.keep) as workdir:
            own = str(Path(args.scenario_file).resolve()) if args.scenario_file else ""
            arguments = [str(Path(args.file).resolve()), str(workdir), own, *names]
            with run_lab("hadirector.drill.inside", arguments, timeout_s=bound_s) as lab:
                kernel = KERNELS[lab.place.value]
                console.print(f"rehearsing {args.file} on {kernel}, {len(names)} scenarios")
                results = _follow(lab, console, len(names), left_out)
                if len(results) + len(left_out) < len(names):
                    raise LabError(f"it ended after {len(results)} scenarios\n{lab.traces()}")
    except LabUnavailable as error:
        raise CliError(error.message, error.remedy, EXIT_CANNOT) from error
    except LabError as error:
        raise CliError(f"the rehearsal failed: {error}", code=EXIT_CANNOT) from error
    document = result.report(results, file=args.file, kernel=kernel)
    return show_report(document, console, json_to=args.json, files=args.report)


@contextmanager
def _workdir(keep: str | None) -> Iterator[Path]:
    """Where the directors of the world keep their files and logs; gone afterwards unless kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="hadirector-rehearsal-") as made:
            yield Path(made)
        return
    directory = Path(keep).resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(
            f"{keep} cannot be made: {error.strerror}", "name another directory", EXIT_INVALID
        ) from error
    yield directory


def _follow(
    events: Iterable[dict[str, Any]], console: Console, total: int, left_out: list[str]
) -> list[dict[str, Any]]:
    """Show what happens as it happens; return the results. Raises CliError on an error event."""
    results: list[dict[str, Any]] = []
    with console.status("booting") as status:
        for event in events:
            match event["event"]:
                case "phase":
                    status.update(event["text"])
                    if not console.is_terminal:
                        console.print(event["text"])
                case "ready":
                    console.print(f"the pair is up and healthy after {event['seconds']:.1f} s")
                    for name, processes in event["memory"].items():
                        sizes = (f"{each} {kib / 1024:.0f} MB" for each, kib in processes.items())
                        console.print(f"       {name}: {', '.join(sizes)} resident", style="dim")
                case "scenario":
                    status.update(f"{len(results) + 1} of {total}: {event['title']}")
                case "left-out":
                    left_out.append(event["name"])
                    console.print(f"{event['name']} is left out: {event['why']}")
                case "result":
                    results.append(event["result"])
                    show_result(event["result"], console)
                case "evidence":
                    _show_logs(console, event["logs"])
                case "error":
                    _show_logs(console, event["logs"])
                    raise CliError(event["text"], "see the logs above", EXIT_CANNOT)
    return results


def _show_logs(console: Console, logs: dict[str, str]) -> None:
    from rich.markup import escape

    for name, text in logs.items():
        console.print(f"[bold]last words of {name}[/]")
        console.print(escape(text), style="dim")
