"""The check `smtp`: does a mail server greet, and answer EHLO?

RFC 5321; STARTTLS as in RFC 3207. Says QUIT and does not wait for the farewell. Must never begin a
mail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers.base import OptionError, Probe
from checkers.securable import DialogueProbe, Securable

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client

_HELLO = re.compile(r"[A-Za-z0-9._:\[\]-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpOptions(Securable):
    """Options of the check `smtp`."""

    kind: ClassVar[str] = "smtp"

    hello: Annotated[
        str, MinLen(1), MaxLen(255), doc("The name by which the check introduces itself (EHLO).")
    ] = "localhost"

    def __post_init__(self) -> None:
        Securable.__post_init__(self)
        if not _HELLO.fullmatch(self.hello):
            raise OptionError("hello", f"{self.hello!r} is no name of a host")

    def make_probe(self) -> Probe:
        """A probe that greets and takes its leave."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        from checkers.reply import reply

        hello = f"EHLO {self.hello}\r\n".encode()
        await reply(stream, "greeting", 220)
        await stream.send(hello)
        await reply(stream, "EHLO", 250)
        if client is not None:
            await stream.send(b"STARTTLS\r\n")
            await reply(stream, "STARTTLS", 220)
            await stream.secure(client)
            await stream.send(hello)
            await reply(stream, "EHLO", 250)
        await stream.send(b"QUIT\r\n")
        return "ready for mail"
