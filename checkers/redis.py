"""The check `redis`: does the server answer PING, and has it the role expected?

The Redis serialization protocol (RESP2), which Valkey and KeyDB speak as well. A server that still
loads its data, or refuses commands, says so with an error, and fails. Must never read or write a
key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import doc

from checkers.base import OptionError, Probe, Reason
from checkers.recording import Failure, plain, quoted
from checkers.secret import PasswordFile, check_secrets, has
from checkers.securable import DialogueProbe, Password, Securable, UserName

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client

_ROLES = {"primary": b"master", "replica": b"slave"}
_LENGTH = re.compile(rb"\$([0-9]{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions(Securable):
    """Options of the check `redis`."""

    kind: ClassVar[str] = "redis"
    secrets: ClassVar[tuple[str, ...]] = ("password",)
    tls_modes: ClassVar[tuple[str, ...]] = ("none", "implicit")

    username: UserName = None
    password: Password = None
    password_file: PasswordFile = None
    role: Annotated[
        Literal["any", "primary", "replica"], doc("The role that the server must have.")
    ] = "any"

    def __post_init__(self) -> None:
        Securable.__post_init__(self)
        check_secrets(self)
        if self.username is not None and not has(self, "password"):
            raise OptionError("password", "a user name is of no use without it")

    def make_probe(self) -> Probe:
        """A probe that asks PING, and ROLE where one is expected."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, _: Client | None) -> str:
        if self.password is not None:
            words = (self.username, self.password) if self.username else (self.password,)
            await stream.send(_command("AUTH", *words), shown="AUTH …")
            await _expect(stream, "AUTH", b"+OK")
        await stream.send(_command("PING"))
        await _expect(stream, "PING", b"+PONG")
        if self.role == "any":
            return "answered PONG"
        await stream.send(_command("ROLE"))
        role = await _role(stream)
        if role != _ROLES[self.role]:
            name = next((name for name, word in _ROLES.items() if word == role), plain(role, 20))
            raise Failure(Reason.L7_CONTENT, f"the role is {name}, expected {self.role}")
        return f"answered PONG as {self.role}"


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


async def _line(stream: Stream, command: str) -> bytes:
    stream.expect(f"answer to {command}")
    line = await stream.line()
    if line.startswith(b"-"):
        raise Failure(Reason.L7_STATUS, f"answer to {command} {quoted(line, 80)}")
    return line


async def _expect(stream: Stream, command: str, expected: bytes) -> None:
    line = await _line(stream, command)
    if line != expected:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(line, 60)} is no answer to {command}")


async def _role(stream: Stream) -> bytes:
    """The first word of the answer to ROLE; the rest of it is not read."""
    head = await _line(stream, "ROLE")
    match = _LENGTH.fullmatch(await stream.line()) if head.startswith(b"*") else None
    if match is None:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(head, 60)} is no answer to ROLE")
    return await stream.exactly(int(match[1]))
