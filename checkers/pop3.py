"""The check `pop3`: does a mailbox server greet, and let us in where a login is given?

RFC 1939; STLS as in RFC 2595. Says QUIT and does not wait for the farewell. Must never touch a
mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from checkers.base import Probe, Reason
from checkers.recording import Failure, quoted
from checkers.securable import DialogueProbe, SecurableLogin

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Options(SecurableLogin):
    """Options of the check `pop3`."""

    kind: ClassVar[str] = "pop3"

    def make_probe(self) -> Probe:
        """A probe that logs in where it can, and takes its leave."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        await _ok(stream, "greeting")
        if client is not None:
            await stream.send(b"STLS\r\n")
            await _ok(stream, "answer to STLS")
            await stream.secure(client)
        said = "greeted"
        if self.username is not None:
            await stream.send(f"USER {self.username}\r\n".encode())
            await _ok(stream, "answer to USER")
            await stream.send(f"PASS {self.password}\r\n".encode(), shown="PASS …")
            await _ok(stream, "answer to PASS")
            said = f"logged in as {self.username}"
        await stream.send(b"QUIT\r\n")
        return said


async def _ok(stream: Stream, what: str) -> None:
    stream.expect(what)
    line = await stream.line()
    if line.startswith(b"+OK"):
        return
    if line.startswith(b"-ERR"):
        raise Failure(Reason.L7_STATUS, f"{what} {quoted(line, 60)}")
    raise Failure(Reason.L7_PROTOCOL, f"{quoted(line, 60)} is no {what}")
