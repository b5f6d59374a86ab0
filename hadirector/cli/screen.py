"""The screen of `hadirector status`: what is wrong first, and every reason readable at any width.

A table whose last column is a sentence turns into confetti in a narrow terminal. So the columns
hold short facts only. A reason follows on the same line where all of a block's reasons fit; else it
stands below its line, over the whole width, and only for what is not as it should be. Up servers
beyond a bound are counted, those that are not up never. Pure: from the answer to lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

UP_SHOWN_MAX = 20  # servers per service, of those that are up
LEAVING_SHOWN_MAX = 20  # servers that left the file
STATE_STYLES = {
    "up": "green",
    "active": "bold green",
    "backup": "blue",
    "down": "bold red",
    "fault": "bold red",
}
OTHER_STYLE = "yellow"
HELD = {"drain": "drained", "disable": "disabled"}  # beside the state of the check
GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a block: its short facts, and the reason for them."""

    cells: tuple[str, ...]
    style: str  # of the cell `styled`
    reason: str
    as_it_should_be: bool


def screen(status: dict[str, Any], *, width: int, now: float, all_servers: bool) -> list[Text]:
    """The whole status for a terminal of this width; `now` is Unix time."""
    return [
        *_head(status, width, now),
        *_routers(status["routers"], width, now),
        *(
            line
            for service in status["services"]
            for line in _service(service, width, now, all_servers=all_servers)
        ),
        *_leaving(status["leaving"], width, now, all_servers=all_servers),
        *_foot(status, width, now),
    ]


def ago(at: float | None, now: float) -> str:
    """How long ago a unix time was, in its largest unit and the next: `3m 12s`."""
    if at is None:
        return "–"
    seconds = max(int(now - at), 0)
    for size, unit, next_size, next_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // next_size}{next_unit}"
    return f"{seconds}s"


def _head(status: dict[str, Any], width: int, now: float) -> Iterator[Text]:
    facts = f" · {status['file']} · {status['digest'][:12]} · up {ago(status['started_at'], now)}"
    yield Text.assemble((status["node"], "bold"), facts)
    for sentence in status["trouble"]:
        yield from _wrapped(sentence, width, "", "trouble: ", "bold red")
    if not status["ready"]:
        sentence = "not every check has had a result, or the table is not programmed yet"
        yield from _wrapped(sentence, width, "", "starting: ", "yellow")


def _foot(status: dict[str, Any], width: int, now: float) -> Iterator[Text]:
    yield Text()
    table = status["table"]
    if status["services"]:
        checked = f" ({ago(table['at'], now)} ago)" if table["at"] is not None else ""
        yield from _wrapped(table["sentence"] + checked, width, "", "table: ", "bold")
        for kept in table["kept"]:
            yield from _wrapped(f"{kept} is somebody else's, left alone", width, "       ")
        for oddity in table["oddities"]:
            yield from _wrapped(oddity, width, "       ")
    yield from _sync(status["sync"], width, now)
    yield from _peer(status["peer"], width, now)
    facts = status["processes"].items()
    processes = ", ".join(_process(name, process, now) for name, process in facts)
    yield from _wrapped(processes, width, "", "processes: ", "bold")
    for worker in status["workers"]:
        yield from _wrapped(_worker(worker, now), width, "           ")
    if status["timing"]:
        late = f"the VRRP worker was woken at most {status['timing']['lately_ms']:g} ms late lately"
        yield from _wrapped("; ".join([late, *status["timing"]["refused"]]), width, "", "timing: ")


def _sync(sync: dict[str, Any] | None, width: int, now: float) -> Iterator[Text]:
    if sync is None:
        return
    since = f" ({ago(sync['since'], now)})" if sync["duty"] else ""
    yield from _wrapped(f"{sync['sentence']}{since}", width, "", "sync: ", "bold")
    if sync["warming_s"] is not None:
        more = (
            f"listens for {sync['warming_s']:.0f} s more before it takes over from a working peer"
        )
        yield from _wrapped(more, width, "      ")
    for daemon in sync["running"]:
        yield from _wrapped(daemon, width, "      ")


def _peer(peer: dict[str, Any] | None, width: int, now: float) -> Iterator[Text]:
    if peer is None:
        return
    since = f" ({ago(peer['since'], now)})" if peer["since"] is not None else ""
    yield from _wrapped(f"{peer['sentence']}{since}", width, "", "peer: ", "bold")
    if planned := peer["planned"]:
        in_s = max(0.0, planned["at"] - now)
        to = planned["to"] or "the other director"
        yield from _wrapped(
            f"switchover to {to} planned in {in_s:.0f} s, by {planned['by']}", width, "      "
        )


def _process(name: str, facts: dict[str, Any], now: float) -> str:
    running = str(facts["pid"]) if facts["pid"] else "down"
    if not facts["restarts"]:
        return f"{name} {running}"
    return f"{name} {running} (restarted {facts['restarts']}×, last {ago(facts['since'], now)} ago)"


def _worker(facts: dict[str, Any], now: float) -> str:
    name = _process(f"check worker {facts['number']}", facts, now)
    late = f", at most {facts['late_ms']:g} ms late" if facts["pid"] else ""
    return f"{name}: {facts['probes']} probes{late}"


def _routers(routers: list[dict[str, Any]], width: int, now: float) -> Iterator[Text]:
    if not routers:
        return
    rows = [
        Row(
            cells=(
                router["name"],
                router["state"],
                ago(router["since"], now),
                f"{router['vrid']} {_where(router)}",
                " ".join(router["held"]) or "–",
            ),
            style=STATE_STYLES.get(router["state"], OTHER_STYLE),
            reason=_why(router),
            as_it_should_be=False,  # why a role is what it is, is always asked
        )
        for router in routers
    ]
    yield Text()
    yield from _block(("virtual router", "state", "since", "vrid", "holds"), rows, width)


def _where(router: dict[str, Any]) -> str:
    """The interface, and the one with the virtual MAC above it."""
    above = f" ({router['device']})" if router["virtual_mac"] else ""
    return f"{router['interface']}{above}"


def _why(router: dict[str, Any]) -> str:
    """The reason of its state, its priority where that is a sum, and what it waits for."""
    more = [router["arithmetic"]] if "," in router["arithmetic"] else []
    return "; ".join(
        [router["reason"], *more, *filter(None, [router["outlook"], router["remark"]])]
    )


def _service(
    service: dict[str, Any], width: int, now: float, *, all_servers: bool
) -> Iterator[Text]:
    yield Text()
    what = f"{service['listen']}, {service['scheduler']}, {service['forward']}"
    yield Text.assemble((service["name"], "bold"), f"{GAP}{what}")
    style = "green" if service["quorum"]["met"] else "bold red"
    yield from _wrapped(service["sentence"], width, GAP, style=style)
    rows = [_server(server, str(server["state"]), now) for server in service["servers"]]
    hidden = 0
    if not all_servers:
        up = [row for row in rows if row.as_it_should_be][UP_SHOWN_MAX:]
        hidden = len(up)
        unseen = {id(row) for row in up}
        rows = [row for row in rows if id(row) not in unseen]
    rows += (_server(spare, "fallback", now) for spare in service["fallbacks"])
    columns = ("server", "state", "since", "weight", "active", "idle")
    yield from _block(columns, rows, width, right_from=3)
    if hidden:
        yield Text(f"{GAP}and {hidden} more that are up (--all shows them)", "dim")


def _leaving(
    leaving: list[dict[str, Any]], width: int, now: float, *, all_servers: bool
) -> Iterator[Text]:
    """What is in the table for its clients only."""
    if not leaving:
        return
    yield Text()
    head = "servers that left the file, removed once their connections have ended"
    yield from _wrapped(head, width, "", "leaving: ", OTHER_STYLE)
    shown = leaving if all_servers else leaving[:LEAVING_SHOWN_MAX]
    rows = [
        Row(
            cells=(
                one["name"],
                ago(one["since"], now),
                ago(now, one["until"]),
                str(one["connections"]["active"]),
                str(one["connections"]["inactive"]),
                str(one["connections"]["persistent"]),
            ),
            style="",
            reason="",
            as_it_should_be=True,
        )
        for one in shown
    ]
    columns = ("server", "since", "left", "active", "idle", "persist")
    yield from _block(columns, rows, width, right_from=2)
    if more := len(leaving) - len(shown):
        yield Text(f"{GAP}and {more} more (--all shows them)", "dim")


def _server(server: dict[str, Any], state: str, now: float) -> Row:
    connections = server["connections"] or {"active": "–", "inactive": "–"}
    is_fallback = state == "fallback"
    orders = server["overrides"]
    ordered = ", ".join(f"{one['order']} {ago(one['since'], now)} ago" for one in orders)
    reason = f"{server['reason']} ({ordered})" if ordered else server["reason"]
    warnings = server["warnings"]
    return Row(
        cells=(
            server["server"],
            " ".join([state, *(HELD.get(one["order"], "") for one in orders)]).rstrip(),
            ago(server["since"], now),
            str(server["weight"]) if server["in_table"] else "out",
            str(connections["active"]),
            str(connections["inactive"]),
        ),
        style=OTHER_STYLE
        if orders or (warnings and state == "up")
        else STATE_STYLES.get(
            state, "dim" if is_fallback and not server["in_table"] else OTHER_STYLE
        ),
        reason="; ".join([reason, *warnings]),
        as_it_should_be=server["in_table"] != is_fallback and not orders and not warnings,
    )


def _block(
    columns: Sequence[str], rows: Sequence[Row], width: int, *, right_from: int = 99
) -> Iterator[Text]:
    """A block of rows under the names of their columns."""
    widths = [
        max(len(cell) for cell in cells)
        for cells in zip(columns, *(row.cells for row in rows), strict=True)
    ]
    used = len(GAP) * len(widths) + sum(widths)
    reasons = [row.reason for row in rows]
    beside = any(reasons) and all(used + len(GAP) + len(why) <= width for why in reasons)
    header = (*columns, "why") if beside else columns
    yield _line(header, widths, right_from, ["dim"] * len(header))
    for row in rows:
        styles = ["", row.style, "", "", "", "", ""]
        if beside:
            styles[len(columns)] = "dim" if row.as_it_should_be else ""
            yield _line((*row.cells, row.reason), widths, right_from, styles)
            continue
        yield _line(row.cells, widths, right_from, styles)
        if not row.as_it_should_be:
            yield from _wrapped(row.reason, width, GAP * 3)


def _line(
    cells: Sequence[str], widths: Sequence[int], right_from: int, styles: Sequence[str]
) -> Text:
    line = Text()
    for number, cell in enumerate(cells):
        size = widths[number] if number < len(widths) else 0
        padded = cell.rjust(size) if right_from <= number < len(widths) else cell.ljust(size)
        line.append(GAP)
        line.append(padded, styles[number])
    line.rstrip()
    return line


def _wrapped(
    sentence: str, width: int, indent: str, label: str = "", style: str = ""
) -> Iterator[Text]:
    """A sentence over as many lines as it needs, those after the first below its beginning.

    With a label, the style is the label's.
    """
    room = max(width - len(indent) - len(label), 20)
    for number, part in enumerate(textwrap.wrap(sentence, room, break_on_hyphens=False) or [""]):
        lead = label if number == 0 else " " * len(label)
        yield Text.assemble(indent, (lead, style), (part, "" if label else style))
