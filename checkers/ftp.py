"""The check `ftp`: does a file server greet, and let us in where a login is given?

RFC 959; TLS on the control connection as in RFC 4217 (AUTH TLS). No data connection is opened. Says
QUIT and does not wait for the farewell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from checkers.base import Probe
from checkers.securable import DialogueProbe, SecurableLogin

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpOptions(SecurableLogin):
    """Options of the check `ftp`."""

    kind: ClassVar[str] = "ftp"

    def make_probe(self) -> Probe:
        """A probe that logs in where it can, and takes its leave."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        from checkers.reply import reply

        await reply(stream, "greeting", 220)
        if client is not None:
            await stream.send(b"AUTH TLS\r\n")
            await reply(stream, "AUTH", 234)
            await stream.secure(client)
        said = "greeted"
        if self.username is not None:
            await stream.send(f"USER {self.username}\r\n".encode())
            if await reply(stream, "USER", 331, 230) == 331:
                await stream.send(f"PASS {self.password}\r\n".encode(), shown="PASS …")
                await reply(stream, "PASS", 230, 202)
            said = f"logged in as {self.username}"
        await stream.send(b"QUIT\r\n")
        return said
