"""The check `memcached`: does the server tell its version?

The text protocol (memcached's protocol.txt), which asks nothing of the cache itself. Must never
read or write an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from checkers.base import Probe, Reason
from checkers.recording import Failure, plain, quoted
from checkers.securable import DialogueProbe, Securable

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client

_ERRORS = (b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemcachedOptions(Securable):
    """Options of the check `memcached`."""

    kind: ClassVar[str] = "memcached"
    tls_modes: ClassVar[tuple[str, ...]] = ("none", "implicit")

    def make_probe(self) -> Probe:
        """A probe that asks for the version."""
        return DialogueProbe(self, _talk)


async def _talk(stream: Stream, _: Client | None) -> str:
    await stream.send(b"version\r\n")
    stream.expect("version")
    line = await stream.line()
    if line.startswith(_ERRORS):
        raise Failure(Reason.L7_STATUS, f"answered {quoted(line, 60)}")
    if not line.startswith(b"VERSION "):
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(line, 60)} is no version")
    return f"version {plain(line[8:], 40)}"
