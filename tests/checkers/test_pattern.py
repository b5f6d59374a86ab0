"""Regular expressions never hold the process up, whatever a server sends."""

import asyncio
import signal
import time

import pytest

from checkers.base import OptionError, ProbeError
from checkers.pattern import check_pattern, search


def test_a_match_is_found_and_nothing_stays_changed() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    match = search(r"up (\d+) days", "the server is up 12 days")
    assert match is not None
    assert match[1] == "12"
    assert search("absent", "x" * 1_000_000) is None
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.mark.parametrize(("pattern", "text"), [(r"(x+x+)+y", "x" * 60), (".*a.*b", "a" * 65536)])
def test_an_endless_search_is_cut_off_and_is_our_fault(pattern: str, text: str) -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    started = time.process_time()
    with pytest.raises(ProbeError, match=r"was still searching \d+ characters after 50 ms"):
        search(pattern, text)
    assert time.process_time() - started < 1
    assert signal.getsignal(signal.SIGVTALRM) == before


def test_outside_the_main_thread_it_says_so() -> None:
    with pytest.raises(ProbeError, match="main thread"):
        asyncio.run(asyncio.to_thread(search, "a", "a"))


@pytest.mark.parametrize("pattern", ["(", "a{3,1}", "*", "[", r"(?P<a>x)(?P<a>y)"])
def test_what_is_no_expression_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(OptionError, match="is no regular expression") as error:
        check_pattern("matches", pattern)
    assert error.value.field == "matches"
