r"""What to send and what to expect, for kinds without a protocol of their own (`tcp`, `udp`).

As text (UTF-8) or in hex, one of the two. YAML's own escapes in double quotes ("PING\r\n") make
control characters. Decides only; must never change a byte of what was written.
"""

from __future__ import annotations

import re
from typing import Annotated

from annotated_types import MaxLen, MinLen, doc

from checkers.base import OptionError

_Text = Annotated[str, MinLen(1), MaxLen(1024)]
_Hex = Annotated[str, MinLen(2), MaxLen(4096)]

Send = Annotated[_Text | None, doc('Text to send (UTF-8); `"PING\\r\\n"` for one with a line end.')]
SendHex = Annotated[_Hex | None, doc("The same in hex, such as `16 03 01`; instead of `send`.")]
Expect = Annotated[_Text | None, doc("Text that must come (UTF-8, exact), anywhere in the answer.")]
ExpectHex = Annotated[_Hex | None, doc("The same in hex, instead of `expect`.")]

_HEX = re.compile(r"\s*([0-9A-Fa-f]{2}\s*)+", re.ASCII)


def payload(field: str, text: str | None, hexadecimal: str | None) -> bytes:
    """The bytes meant; none if neither is written. Raises OptionError."""
    if hexadecimal is None:
        return (text or "").encode()
    if text is not None:
        raise OptionError(f"{field}_hex", f"either `{field}` or `{field}_hex`, not both")
    if not _HEX.fullmatch(hexadecimal):
        raise OptionError(f"{field}_hex", f"{hexadecimal!r} is not pairs of hex digits")
    return bytes.fromhex(hexadecimal)
