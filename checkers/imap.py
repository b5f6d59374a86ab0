"""The check `imap`: does a mailbox server greet, answer, and let us in where a login is given?

RFC 9051 (and 3501). The command NOOP is asked after the greeting, since a greeting alone may come
from a process that has nothing behind it. Says LOGOUT and does not wait for the farewell. Must
never touch a mail.
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
class ImapOptions(SecurableLogin):
    """Options of the check `imap`."""

    kind: ClassVar[str] = "imap"

    def make_probe(self) -> Probe:
        """A probe that logs in where it can, and takes its leave."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        stream.expect("greeting")
        greeting = await stream.line()
        if greeting.upper().startswith(b"* BYE"):
            raise Failure(Reason.L7_STATUS, f"greeting {quoted(greeting, 60)}")
        if not greeting.upper().startswith((b"* OK", b"* PREAUTH")):
            raise Failure(Reason.L7_PROTOCOL, f"{quoted(greeting, 60)} is no greeting")
        if client is not None:
            await _command(stream, "a1", "STARTTLS")
            await stream.secure(client)
        said = "answered NOOP"
        if self.username is not None:
            secret = f"LOGIN {_string(self.username)} {_string(self.password or '')}"
            await _command(stream, "a2", secret, shown="LOGIN …")
            said = f"logged in as {self.username}"
        await _command(stream, "a3", "NOOP")
        await stream.send(b"a4 LOGOUT\r\n")
        return said


def _string(text: str) -> str:
    """A quoted string (RFC 9051 4.3)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _command(stream: Stream, tag: str, command: str, shown: str | None = None) -> None:
    await stream.send(f"{tag} {command}\r\n".encode(), shown=shown and f"{tag} {shown}")
    what = f"answer to {(shown or command).split()[0]}"
    stream.expect(what)
    while (line := await stream.line()).startswith(b"*"):
        if line.upper().startswith(b"* BYE"):
            raise Failure(Reason.L7_STATUS, f"{what} {quoted(line, 60)}")
    if line.upper().startswith(f"{tag} OK".upper().encode()):
        return
    if line.startswith(tag.encode()):
        raise Failure(Reason.L7_STATUS, f"{what} {quoted(line, 60)}")
    raise Failure(Reason.L7_PROTOCOL, f"{quoted(line, 60)} is no {what}")
