"""What a server says of itself, and what cannot be understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.base import Advice
from checkers.words import Saying, WordError, understand


@pytest.mark.parametrize(
    ("line", "saying"),
    [
        (b"up", Saying(True, "up", None)),
        (b"READY", Saying(True, "ready", None)),
        (b"75%", Saying(True, "75%", Advice(percent=75))),
        (b"up, 0%\r", Saying(True, "up 0%", Advice(percent=0))),
        (b"drain", Saying(True, "drain", Advice(drain=True))),
        (b"ready 50% maxconn:30", Saying(True, "ready 50% maxconn:30", Advice(percent=50))),
        (b"maint", Saying(False, "maint", None)),
        (b"down # disk full", Saying(False, "down (disk full)", None)),
        (b"up down", Saying(False, "up down", None)),
        (b"stopped\t#", Saying(False, "stopped", None)),
        (b"failed#\x1b[31m", Saying(False, "failed (\\x1b[31m)", None)),
    ],
)
def test_what_is_understood(line: bytes, saying: Saying) -> None:
    assert understand(line) == saying


def test_a_number_is_a_weight_where_that_is_meant() -> None:
    assert understand(b" 40 ", weights=True).advice == Advice(weight=40)
    with pytest.raises(WordError, match='it says "40", which means nothing'):
        understand(b"40")


@pytest.mark.parametrize(
    "line", [b"", b"  ", b"# why", b"fine", b"101%", b"1000%", b"-5%", b"\xff"]
)
def test_what_is_not_understood(line: bytes) -> None:
    with pytest.raises(WordError, match=r"^it says "):
        understand(line)


@given(st.binary(max_size=300))
def test_any_line_is_understood_or_not(line: bytes) -> None:
    try:
        said = understand(line, weights=True).word
    except WordError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 400
