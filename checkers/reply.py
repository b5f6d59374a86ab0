"""Replies of three digits, as SMTP (RFC 5321 4.2) and FTP (RFC 959 4.2) give them.

A reply is one line `250 text`, or several of which all but the last begin `250-`. Must never read
without end: lines are bounded by the stream, their number by what a stream takes altogether.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkers.base import Reason
from checkers.recording import Failure, quoted

if TYPE_CHECKING:
    from checkers.stream import Stream

_LINE = re.compile(rb"([2-5][0-9]{2})([ -])?")


async def reply(stream: Stream, to: str, *expected: int) -> int:
    """The code of the next reply, which must be one of those expected. Raises Failure."""
    what = f"answer to {to}" if to != "greeting" else to
    stream.expect(what)
    line = await stream.line()
    match = _LINE.match(line)
    if match is None:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(line, 60)} is no {what}")
    code, more = match[1], match[2] == b"-"
    while more:
        # Within a reply, FTP allows lines without a code.
        line = await stream.line()
        more = not (line.startswith(code) and line[3:4] in (b" ", b""))
    if int(code) not in expected:
        wanted = " or ".join(map(str, expected))
        raise Failure(Reason.L7_STATUS, f"{what} {quoted(line, 60)}, expected {wanted}")
    return int(code)
