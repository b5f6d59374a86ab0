"""The check `echo`: does the server say back what it is told (RFC 862)?

An example of a kind of check in a package of its own; docs/plugins.md goes through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers.base import Probe, Reason
from checkers.recording import Failure, quoted
from checkers.securable import DialogueProbe, Securable

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOptions(Securable):
    """Options of the check `echo`."""

    kind: ClassVar[str] = "echo"
    tls_modes: ClassVar[tuple[str, ...]] = ("none", "implicit")

    word: Annotated[
        Annotated[str, MinLen(1), MaxLen(100)],
        doc("What to say, and to hear again."),
    ] = "hello"

    def make_probe(self) -> Probe:
        """A probe that says the word once."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, _: Client | None) -> str:
        said = self.word.encode() + b"\r\n"
        await stream.send(said)
        stream.expect("echo")
        heard = await stream.exactly(len(said))
        if heard != said:
            raise Failure(Reason.L7_CONTENT, f"answered {quoted(heard, 40)} to {quoted(said, 40)}")
        return f"echoed {quoted(heard, 40)}"
