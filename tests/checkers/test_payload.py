"""Text and hex to send and to expect."""

import pytest

from checkers.base import OptionError
from checkers.payload import payload


def test_text_is_utf8_and_hex_is_bytes() -> None:
    assert payload("send", "grüß\r\n", None) == b"gr\xc3\xbc\xc3\x9f\r\n"
    assert payload("send", None, "16 03 01\n00ff") == b"\x16\x03\x01\x00\xff"
    assert payload("send", None, None) == b""


@pytest.mark.parametrize("digits", ["1", "0x16", "16 0", "zz", "1 6"])
def test_what_is_not_hex_is_refused(digits: str) -> None:
    with pytest.raises(OptionError, match="pairs of hex digits") as error:
        payload("expect", None, digits)
    assert error.value.field == "expect_hex"


def test_both_are_refused() -> None:
    with pytest.raises(OptionError, match="either `send` or `send_hex`"):
        payload("send", "a", "61")
