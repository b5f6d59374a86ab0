"""`hadirector rehearse`: drill the failovers of a file in a world made for it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hadirector.cli.errors import EXIT_CANNOT, EXIT_INVALID, EXIT_NO, EXIT_YES, CliError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
  hadirector rehearse FILE --json report.json           the report for programs too

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
    parser.add_argument(
        "--json", metavar="OUT", help="write the report to OUT as JSON; - prints it"
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the directors' logs and files in DIR")


def execute(args: argparse.Namespace) -> int:
    """Rehearse, show, and judge."""
    from hadirector.cli.loading import load_or_fail
    from hadirector.drill.scenarios import SCENARIOS

    config = load_or_fail(args.file)
    if args.list:
        return _list(config)
    chosen = _choose(config, args.scenario)
    for name in args.scenario or SCENARIOS:
        why_not = SCENARIOS[name].needs(config)
        if why_not is not None:
            print(f"{name} is left out: {why_not}", file=sys.stderr)
    return _rehearse(args, chosen)


def _choose(config: Config, asked: list[str] | None) -> list[Scenario]:
    from hadirector.config.diagnostics import choices
    from hadirector.drill.scenarios import SCENARIOS

    for name in asked or ():
        if name not in SCENARIOS:
            raise CliError(
                f'no scenario is called "{name}"', choices(name, SCENARIOS), EXIT_INVALID
            )
    if not config.services:
        raise CliError("the file has no services to rehearse", "add one", EXIT_INVALID)
    # In the order of the table, whatever the order asked: some begin where another ends.
    wanted = [SCENARIOS[name] for name in SCENARIOS if not asked or name in asked]
    chosen = [scenario for scenario in wanted if scenario.needs(config) is None]
    if not chosen:
        raise CliError("the file can show none of the scenarios", "see --list", EXIT_INVALID)
    return chosen


def _list(config: Config) -> int:
    from hadirector.drill.scenarios import SCENARIOS

    width = max(map(len, SCENARIOS))
    for scenario in SCENARIOS.values():
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
    names = [scenario.name for scenario in chosen]
    bound_s = BOOT_BOUND_S + SCENARIO_BOUND_S * len(names)
    try:
        with _workdir(args.keep) as workdir:
            arguments = [str(Path(args.file).resolve()), str(workdir), *names]
            with run_lab("hadirector.drill.inside", arguments, timeout_s=bound_s) as lab:
                kernel = KERNELS[lab.place.value]
                console.print(f"rehearsing {args.file} on {kernel}, {len(names)} scenarios")
                results = _follow(lab, console, len(names))
                if len(results) < len(names):
                    raise LabError(f"it ended after {len(results)} scenarios\n{lab.traces()}")
    except LabUnavailable as error:
        raise CliError(error.message, error.remedy, EXIT_CANNOT) from error
    except LabError as error:
        raise CliError(f"the rehearsal failed: {error}", code=EXIT_CANNOT) from error
    _report(args, result.report(results, file=args.file, kernel=kernel), console)
    return EXIT_YES if all(each["verdict"] == "pass" for each in results) else EXIT_NO


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


def _report(args: argparse.Namespace, report: dict[str, Any], console: Console) -> None:
    results = report["scenarios"]
    if args.json == "-":
        print(json.dumps(report, indent=2))
    else:
        console.print(_table(results))
        if args.json:
            Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            console.print(f"report written to {args.json}")
    failed = [result["name"] for result in results if result["verdict"] != "pass"]
    summary = f"{len(results) - len(failed)} of {len(results)} scenarios passed"
    console.print(summary + (f"; failed: {', '.join(failed)}" if failed else ""))


def _follow(events: Iterable[dict[str, Any]], console: Console, total: int) -> list[dict[str, Any]]:
    """Show what happens as it happens; return the results. Raises CliError on an error event."""
    from rich.markup import escape

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
                case "result":
                    result = event["result"]
                    results.append(result)
                    good = result["verdict"] == "pass"
                    mark = "[green]pass[/]" if good else "[red]FAIL[/]"
                    console.print(f"{mark} {escape(result['title'])}")
                    for sentence in result["notes"]:
                        console.print(f"       {escape(sentence)}", style="dim")
                    for sentence in result["faults"]:
                        console.print(f"       [red]{escape(sentence)}[/]")
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


def _table(results: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), caption="outage and budget in ms"
    )
    table.add_column("scenario", no_wrap=True)
    table.add_column("outage", justify="right")
    table.add_column("budget", justify="right")
    table.add_column("lost", justify="right")
    table.add_column("kept", justify="right")
    table.add_column("active", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for result in results:
        connections = result["connections"]
        kept = f"{connections['kept']}/{connections['opened']}" if connections["opened"] else "–"
        before, after = result["active_before"] or "nobody", result["active_after"] or "nobody"
        table.add_row(
            result["name"],
            f"{result['outage_ms']:.0f}",
            f"{result['budget_ms']:.0f}",
            f"{result['requests_lost']}/{result['requests']}",
            kept,
            before if before == after else f"{before} → {after}",
            "[green]pass[/]" if result["verdict"] == "pass" else "[red]FAIL[/]",
        )
    return table
