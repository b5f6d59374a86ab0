"""`hadirector status`: roles, services, servers, weights and reasons on one screen."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from hadirector.cli.client import add_runtime_dir, ask
from hadirector.cli.errors import EXIT_YES

SUMMARY = "roles, services and servers as the running daemon sees them"

_EPILOG = """\
  hadirector status                       for people
  hadirector status --json                everything, for programs
  watch -n1 hadirector status             follow it"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = _EPILOG
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def execute(args: argparse.Namespace) -> int:
    """Print the status of the daemon on this host."""
    reply = ask(args.runtime_dir, "/status")
    if args.json:
        print(json.dumps(reply, indent=2))
    else:
        show(reply)
    return EXIT_YES


def show(status: dict[str, Any]) -> None:
    """Print a status for people."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(
        f"[bold]{status['node']}[/] · {escape(status['file'])} · {status['digest'][:12]} · "
        f"up {ago(status['started_at'])}"
    )
    for sentence in status["trouble"]:
        console.print(f"[red]trouble:[/] {escape(sentence)}")
    if status["routers"]:
        console.print(_routers(status["routers"]))
    for service in status["services"]:
        console.print(_service(service))
    if status["services"]:
        console.print(f"table: {escape(status['table']['sentence'])}")
        for kept in status["table"]["kept"]:
            console.print(f"       {kept} is somebody else's")
    console.print(
        "processes: " + ", ".join(_process(*item) for item in status["processes"].items())
    )


def _routers(routers: list[dict[str, Any]]) -> Any:
    from rich.markup import escape

    table = _table("virtual router", "state", "since", "addresses held", "why")
    for router in routers:
        colour = {"active": "green", "backup": "blue", "fault": "red"}.get(
            router["state"], "yellow"
        )
        table.add_row(
            f"{router['name']} (vrid {router['vrid']} on {router['interface']})",
            f"[{colour}]{router['state']}[/]",
            ago(router["since"]),
            " ".join(router["held"]) or "–",
            escape(router["reason"]),
        )
    return table


def _service(service: dict[str, Any]) -> Any:
    from rich.markup import escape

    colour = "green" if service["quorum"]["met"] else "red"
    title = (
        f"[bold]{service['name']}[/] {service['listen']} {service['scheduler']} "
        f"{service['forward']}: [{colour}]{escape(service['sentence'])}[/]"
    )
    table = _table("server", "state", "weight", "active", "idle", "since", "why", title=title)
    fallback = [{**service["fallback"], "state": "fallback"}] if service["fallback"] else []
    for server in [*service["servers"], *fallback]:
        colour = {"up": "green", "down": "red"}.get(server["state"], "yellow")
        connections = server["connections"] or {"active": "–", "inactive": "–"}
        table.add_row(
            server["server"],
            f"[{colour}]{server['state']}[/]",
            str(server["weight"]) if server["in_table"] else "out",
            str(connections["active"]),
            str(connections["inactive"]),
            ago(server["since"]) if server["since"] else "–",
            escape(server["reason"]),
        )
    return table


def _table(*columns: str, title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _process(name: str, facts: dict[str, Any]) -> str:
    again = f", restarted {facts['restarts']}×" if facts["restarts"] else ""
    return f"{name} {facts['pid'] or 'down'}{again}"


def ago(at: float) -> str:
    """How long ago a unix time was, in its largest unit and the next: `3m 12s`."""
    seconds = max(int(time.time() - at), 0)
    for size, unit, next_size, next_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // next_size}{next_unit}"
    return f"{seconds}s"
