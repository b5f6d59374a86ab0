"""The report as one page of HTML, with a picture of each scenario's course. Pure.

It loads nothing and runs nothing, so that it can be mailed and archived. Colours follow the
reader's choice of light or dark, and nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from hadirector.config.nodes import shorten

Facts = Mapping[str, Any]

WIDTH, LEFT, RIGHT = 900, 110, 20
ROW, TOP = 26, 24
MARKS_SHOWN_MAX = 24
TICKS_WANTED = 8
TEXT_MAX = 70

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5d6675; --line: #d5dae2; --back: #fff;
  --good: #1a7f4b; --bad: #c0262d; --role: #3b6fd4; --other: #8a5bd0; --out: #e08a8e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #9aa4b5; --line: #39414f; --back: #14181f; --good: #4cc38a;
    --bad: #ff7b80; --role: #7aa5ff; --other: #b695f2; --out: #8e3a40; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th.n, td.n { text-align: right; }
.pass { color: var(--good); font-weight: 600; } .fail { color: var(--bad); font-weight: 600; }
.soft, figcaption { color: var(--soft); } a { color: inherit; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
svg text.soft { fill: var(--soft); } .axis { stroke: var(--line); }
.role { fill: var(--role); } .other { fill: var(--other); } .out { fill: var(--out); }
.done { fill: var(--bad); } .seen { fill: var(--good); } .guide { stroke: var(--line); }
section { margin-top: 2.2rem; } h2 { margin-bottom: .2rem; } figure { margin: .8rem 0; }
"""


def page(document: Facts) -> str:
    """The whole page."""
    scenarios = document["scenarios"]
    passed = sum(each["verdict"] == "pass" for each in scenarios)
    title = f"{document['file']}: {passed} of {len(scenarios)} passed"
    where = f"{passed} of {len(scenarios)} passed, on {escape(document['kernel'])}"
    body = "\n".join(
        [
            f"<h1>{escape(document['file'])}</h1>",
            f'<p class="soft">{where}</p>',
            _table(scenarios),
            *(_scenario(each, number) for number, each in enumerate(scenarios)),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n"
        "</body></html>\n"
    )


def _table(scenarios: list[Facts]) -> str:
    head = "".join(
        f'<th class="n">{word}</th>' if numeric else f"<th>{word}</th>"
        for word, numeric in (
            ("scenario", False), ("outage ms", True), ("budget ms", True), ("lost", True),
            ("kept", True), ("active", False), ("verdict", False),
        )
    )  # fmt: skip
    rows = []
    for number, each in enumerate(scenarios):
        cells = [
            f'<a href="#s{number}">{escape(each["name"])}</a>',
            f"{each['outage_ms']:.0f}",
            f"{each['budget_ms']:.0f}",
            f"{each['requests_lost']}/{each['requests']}",
            kept(each),
            escape(roles(each)),
            f'<span class="{each["verdict"]}">{each["verdict"]}</span>',
        ]
        rows.append(
            "<tr>"
            + "".join(
                f'<td class="n">{cell}</td>' if 1 <= column <= 4 else f"<td>{cell}</td>"
                for column, cell in enumerate(cells)
            )
            + "</tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def kept(each: Facts) -> str:
    """How many connections survived, of how many."""
    connections = each["connections"]
    return f"{connections['kept']}/{connections['opened']}" if connections["opened"] else "–"


def roles(each: Facts) -> str:
    """Who was active before and after: `lb1 → lb2`."""
    before, after = each["active_before"] or "nobody", each["active_after"] or "nobody"
    return before if before == after else f"{before} → {after}"


def _scenario(each: Facts, number: int) -> str:
    verdict = each["verdict"]
    faults = "".join(f'<li class="fail">{escape(fault)}</li>' for fault in each["faults"])
    notes = "".join(f"<li>{escape(note)}</li>" for note in each["notes"])
    return (
        f'<section id="s{number}"><h2>{escape(each["name"])} '
        f'<span class="{verdict}">{verdict}</span></h2>'
        f"<p>{escape(each['title'])}: outage {each['outage_ms']:.0f} ms, "
        f"budget {each['budget_ms']:.0f} ms.</p>{_picture(each)}"
        f"<ul>{faults}{notes}</ul></section>"
    )


def _picture(each: Facts) -> str:
    """Rows for the directors and the outage, and below each moment with its text."""
    course = each["timeline"]
    length = course["length_ms"]
    if length <= 0:
        return ""
    names = sorted({span["name"] for span in course["active"]})
    moments = course["moments"][:MARKS_SHOWN_MAX]
    rows = len(names) + 1 + len(moments)
    height = TOP + ROW * rows + 8
    parts = [
        *_axis(length, height),
        *_roles(course["active"], names, length),
        *_outage(course["outage"], TOP + ROW * len(names), length),
        *_moments(moments, TOP + ROW * (len(names) + 1), length),
    ]
    caption = "when each director held all addresses, the longest silence, and what happened"
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="course of {escape(each["name"])}">{"".join(parts)}</svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _x(at_ms: float, length_ms: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(at_ms / length_ms, 0.0), 1.0), 1)


def _axis(length_ms: float, height: int) -> Iterator[str]:
    step = tick_ms(length_ms)
    for number in range(int(length_ms / step) + 1):
        x, told = _x(number * step, length_ms), in_words(number * step)
        yield f'<line class="guide" x1="{x}" x2="{x}" y1="{TOP - 4}" y2="{height}"/>'
        yield f'<text class="soft" x="{x}" y="12" text-anchor="middle">{told}</text>'


def tick_ms(length_ms: float) -> float:
    """The distance of the ticks: 1, 2 or 5 times a power of ten, some eight on the axis."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if length_ms / (size * factor) <= TICKS_WANTED:
                return size * factor
        size *= 10


def in_words(ms: float) -> str:
    """`350 ms`, `2.5 s`."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{round(ms / 1000, 2):g} s"


def _roles(active: list[Facts], names: list[str], length_ms: float) -> Iterator[str]:
    for row, name in enumerate(names):
        y = TOP + ROW * row
        yield f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
        for span in active:
            if span["name"] == name:
                style = "role" if row % 2 == 0 else "other"
                yield _bar(span, y, style, length_ms, f"{name} active")


def _outage(outage: Facts | None, y: int, length_ms: float) -> Iterator[str]:
    yield f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">no answer</text>'
    if outage is not None:
        yield _bar(outage, y, "out", length_ms, "no answer")


def _bar(span: Facts, y: int, style: str, length_ms: float, what: str) -> str:
    begin, end = _x(span["begin_ms"], length_ms), _x(span["end_ms"], length_ms)
    told = f"{what} from {in_words(span['begin_ms'])} to {in_words(span['end_ms'])}"
    return (
        f'<rect class="{style}" x="{begin}" y="{y + 4}" width="{max(end - begin, 2):.1f}" '
        f'height="{ROW - 8}" rx="3"><title>{escape(told)}</title></rect>'
    )


def _moments(moments: list[Facts], y: int, length_ms: float) -> Iterator[str]:
    for row, moment in enumerate(moments):
        x, middle = _x(moment["at_ms"], length_ms), y + ROW * row + ROW // 2
        sign = "▸" if moment["kind"] == "done" else "•"
        text = shorten(f"{sign} {in_words(moment['at_ms'])}: {moment['text']}", TEXT_MAX)
        # Text that would run out of the picture on the right stands to the left of its mark.
        leftward = x > WIDTH * 0.55
        anchor = 'text-anchor="end"' if leftward else ""
        place = x - 8 if leftward else x + 8
        yield f'<circle class="{moment["kind"]}" cx="{x}" cy="{middle}" r="4"/>'
        yield f'<text x="{place}" y="{middle + 4}" {anchor}>{escape(text)}</text>'
