"""A probe's transcript: bounded, harmless to a terminal, and free for passes."""

from hypothesis import given
from hypothesis import strategies as st

from checkers import limits
from checkers.base import Reason
from checkers.recording import Failure, Recording, milliseconds, plain, quoted


class Expensive:
    def __str__(self) -> str:
        raise AssertionError("formatted for a pass")


def test_a_pass_formats_nothing() -> None:
    recording = Recording()
    recording.note("%s", Expensive())
    assert recording.passed("connected").transcript == ()


def test_a_transcript_is_bounded() -> None:
    recording = Recording()
    for _ in range(1000):
        recording.note("%s", "x" * 10_000)
    transcript = recording.failed(Failure(Reason.L7_STATUS, "status 500")).transcript
    assert len(transcript) == limits.TRANSCRIPT_LINES_MAX
    assert max(map(len, transcript)) < limits.TRANSCRIPT_LINE_CHARACTERS_MAX + 20


@given(st.binary(max_size=300), st.integers(1, 100))
def test_what_a_server_sent_is_made_harmless(data: bytes, characters_max: int) -> None:
    shown = plain(data, characters_max)
    assert shown.isprintable()
    assert len(shown) <= characters_max + 1  # escapes and all, and a sign that there was more


def test_quotes_and_times() -> None:
    assert quoted(b"a\x1b[31m\r\n\xff") == '"a\\x1b[31m\\r\\n\ufffd"'
    assert quoted(b"abcdef", 3) == '"abc…"'
    assert [milliseconds(value) for value in (0.34, 12, 1500.4)] == [
        "0.3 ms",
        "12.0 ms",
        "1500 ms",
    ]
