"""Durations are numbers with units; what is written reads back as the same time."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.config.durations import PATTERN, DurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2), ("1.5s", 1.5), ("5m", 300), ("1h", 3600), ("0.5h", 1800)],
)
def test_parses(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("2", "2 has no unit", "write 2s or 2ms"),
        ("0.5", "0.5 has no unit", "write 0.5s or 0.5ms"),
        ("2 s", '"2 s" is not a duration', "write a number and a unit: 500ms, 2s, 5m, 1h"),
        ("2S", '"2S" is not a duration', "write a number and a unit: 500ms, 2s, 5m, 1h"),
        ("-2s", '"-2s" is not a duration', "write a number and a unit: 500ms, 2s, 5m, 1h"),
        ("٢s", '"٢s" is not a duration', "write a number and a unit: 500ms, 2s, 5m, 1h"),
    ],
)
def test_refuses_and_says_what_would_be_right(text: str, message: str, hint: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert (str(caught.value), caught.value.hint) == (message, hint)


@given(st.integers(min_value=0, max_value=10**10))
def test_whole_milliseconds_survive_writing_and_reading(milliseconds: int) -> None:
    written = format_duration(milliseconds / 1000)
    assert round(parse_duration(written) * 1000) == milliseconds
    assert re.fullmatch(PATTERN, written)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_duration_error(text: str) -> None:
    with contextlib.suppress(DurationError):
        assert parse_duration(text) >= 0
        assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (40.95, "40.95s"), (90, "90s"), (0.0005, "0.5ms"), (120, "2m")]
)
def test_writes_as_people_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
