"""Every form of a report, made of one document: parsed by somebody else's parser each."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import cast
from xml.etree import ElementTree

import pytest

from hadirector.drill.page import in_words, page, tick_ms
from hadirector.drill.report import as_json, as_junit, form_of
from hadirector.drill.result import report
from hadirector.drill.timeline import Kind, Moment, Span, Timeline
from tests.hadirector.drill.test_result import GOOD

COURSE = Timeline(
    length_ms=4000,
    moments=(
        Moment(at_ms=0, text="lb1 <without> power", kind=Kind.DONE),
        Moment(at_ms=3000, text="lb2 holds all addresses"),
    ),
    active=(
        Span(name="lb1", begin_ms=0, end_ms=10),
        Span(name="lb2", begin_ms=3000, end_ms=4000),
    ),
    outage=Span(name="outage", begin_ms=10, end_ms=3010),
)
BAD = replace(GOOD, name="bad", outage_ms=9000, timeline=COURSE, notes=("control \x07 & <b>",))
DOCUMENT = report(
    [replace(GOOD, timeline=COURSE).to_json(), BAD.to_json()], file="a<b>.yaml", kernel="lab"
)
VOID = {"meta", "line", "rect", "circle"}


class _Page(HTMLParser):
    """Checks that every element is closed in order; keeps the text and what is asked of others."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.asked: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.asked += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        if tag not in VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_junit_has_a_case_for_each_scenario_and_a_failure_that_says_why() -> None:
    suite = ElementTree.fromstring(as_junit(DOCUMENT))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    good, bad = suite.findall("testcase")
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure is not None
    assert "9000 ms" in (failure.get("message") or "")
    assert "control \ufffd & <b>" in (bad.findtext("system-out") or "")


def test_the_page_is_well_formed_escapes_all_and_loads_nothing() -> None:
    parser = _Page()
    parser.feed(page(DOCUMENT))
    assert parser.open == []
    assert all(asked.startswith("#") for asked in parser.asked)
    assert "script" not in parser.seen
    assert "b" not in parser.seen
    assert parser.seen.count("svg") == 2
    text = " ".join(parser.text)
    assert "0 ms: lb1 <without> power" in text
    assert "1 of 2 passed, on lab" in text
    assert "prefers-color-scheme: dark" in text


def test_a_scenario_without_a_course_has_no_picture() -> None:
    parser = _Page()
    parser.feed(page(report([GOOD.to_json()], file="a", kernel="lab")))
    assert "svg" not in parser.seen


def test_json_is_the_document_itself() -> None:
    assert json.loads(as_json(DOCUMENT)) == cast("object", DOCUMENT)


def test_the_suffix_says_which_form() -> None:
    assert form_of("out/REPORT.HTML") is page
    assert form_of("report.xml") is as_junit
    assert form_of("report.pdf") is None


@pytest.mark.parametrize(
    ("length", "tick"), [(80, 10), (1000, 200), (4000, 500), (30_000, 5000), (0.5, 1)]
)
def test_the_axis_has_a_handful_of_round_ticks(length: float, tick: float) -> None:
    assert tick_ms(length) == tick


def test_times_are_told_in_their_unit() -> None:
    assert [in_words(350), in_words(2500), in_words(3000)] == ["350 ms", "2.5 s", "3 s"]
