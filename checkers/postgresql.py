"""The check `postgresql`: does a database server accept connections, and which role has it?

PostgreSQL's protocol, version 3.0. Without a `username` any answer that decides a login counts, a
refusal too, as for pg_isready: a server that starts up, shuts down or has no connection left says
so with other codes. With one the check logs in (trust, password over TLS only, md5,
SCRAM-SHA-256) and may ask for a role, which servers tell at login since version 14. Must never send
a statement.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Reason
from checkers.recording import Failure, plain, quoted
from checkers.scram import Scram, ScramError
from checkers.secret import PasswordFile, check_secrets
from checkers.securable import DialogueProbe, Password, Securable, UserName

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client

_VERSION = 196_608
_TLS_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"  # length 8, code 80877103
_STRANGER = "health-check"
_DECIDED = ("28", "3D")  # classes of SQLSTATE: invalid authorization, invalid catalog name
_MESSAGE_MAX = 1 << 14
_MESSAGES_MAX = 100
_TRUSTED, _CLEAR, _MD5, _SASL, _SASL_MORE, _SASL_END = 0, 3, 5, 10, 11, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlOptions(Securable):
    """Options of the check `postgresql`."""

    kind: ClassVar[str] = "postgresql"
    secrets: ClassVar[tuple[str, ...]] = ("password",)
    tls_modes: ClassVar[tuple[str, ...]] = ("none", "starttls")

    username: UserName = None
    password: Password = None
    password_file: PasswordFile = None
    database: Annotated[str, MinLen(1), MaxLen(63), doc("The database to log in to.")] = "postgres"
    role: Annotated[
        Literal["any", "primary", "replica"], doc("The role that the server must have.")
    ] = "any"

    def __post_init__(self) -> None:
        Securable.__post_init__(self)
        check_secrets(self)
        for field in ("password", "password_file", "role"):
            if self.username is None and getattr(self, field) not in (None, "any"):
                raise OptionError("username", f"is missing: `{field}` needs a login")
        for field in ("username", "password", "database"):
            if "\0" in (getattr(self, field) or ""):
                raise OptionError(field, "holds a zero byte")

    def make_probe(self) -> Probe:
        """A probe that asks for a login."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        if client is not None:
            await stream.send(_TLS_REQUEST, shown="request for TLS")
            stream.expect("answer to the request for TLS")
            if await stream.exactly(1) != b"S":
                raise Failure(Reason.TLS, "the server offers no TLS")
            await stream.secure(client)
        words = ("user", self.username or _STRANGER, "database", self.database)
        start = "".join(f"{word}\0" for word in words).encode() + b"\0"
        head = (len(start) + 8).to_bytes(4) + _VERSION.to_bytes(4)
        await stream.send(head + start, shown=f"login as {words[1]} to {self.database}")
        if self.username is None:
            return await _accepts(stream)
        login = _Login(stream, self.username, self.password, secured=client is not None)
        parameters = await login.run()
        await stream.send(b"X\0\0\0\x04", shown="quit")
        version = plain(parameters.get(b"server_version", b"?"), 40)
        if self.role != "any":
            _check_role(parameters, self.role)
        return f"logged in as {self.username} to version {version}"


def _check_role(parameters: dict[bytes, bytes], wanted: str) -> None:
    standby = parameters.get(b"in_hot_standby")
    if standby is None:
        raise Failure(Reason.L7_CONTENT, "the server does not tell its role (before version 14)")
    role = "replica" if standby == b"on" else "primary"
    if role != wanted:
        raise Failure(Reason.L7_CONTENT, f"the role is {role}, expected {wanted}")


async def _accepts(stream: Stream) -> str:
    kind, body = await _message(stream, refusals=_DECIDED)
    if kind not in (b"R", b"E"):
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(kind + body, 40)} is no answer to a login")
    return "accepts connections, answered"


async def _message(stream: Stream, refusals: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
    """The next message; errors raise Failure but for those of the classes in `refusals`."""
    stream.expect("answer to the login")
    head = await stream.exactly(5)
    length = int.from_bytes(head[1:]) - 4
    if not head[:1].isalpha() or not 0 <= length <= _MESSAGE_MAX:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(head, 10)} begins no answer to a login")
    body = await stream.exactly(length)
    if head[:1] == b"E":
        fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
        code = plain(fields.get(b"C", b"?????"), 5)
        if code[:2] not in refusals:
            raise Failure(Reason.L7_STATUS, f"error {code} {quoted(fields.get(b'M', b''))}")
    return head[:1], body


class _Login:
    """From the first question of the server to its being ready."""

    def __init__(
        self, stream: Stream, username: str, password: str | None, *, secured: bool
    ) -> None:
        self._stream = stream
        self._username = username
        self._password = password
        self._secured = secured
        self._scram: Scram | None = None

    async def run(self) -> dict[bytes, bytes]:
        """Log in; what the server tells of itself. Raises Failure."""
        parameters: dict[bytes, bytes] = {}
        for _ in range(_MESSAGES_MAX):
            kind, body = await _message(self._stream)
            if kind == b"R":
                try:
                    await self._answer(int.from_bytes(body[:4]), body[4:])
                except ScramError as error:
                    raise Failure(Reason.L7_PROTOCOL, f"login failed: {error}") from error
            elif kind == b"S":
                name, _, value = body.partition(b"\0")
                parameters[name] = value.rstrip(b"\0")
            elif kind == b"Z":
                return parameters
        raise Failure(Reason.L7_PROTOCOL, f"{_MESSAGES_MAX} messages, and none says ready")

    async def _answer(self, method: int, body: bytes) -> None:
        if method == _TRUSTED:
            return
        if self._password is None:
            raise Failure(Reason.L7_STATUS, "the server wants a password")
        if method == _CLEAR:
            if not self._secured:
                raise Failure(
                    Reason.L7_STATUS,
                    "the server wants the password itself, which is sent over TLS only",
                )
            await self._reply(self._password.encode() + b"\0")
        elif method == _MD5:
            inner = _md5(self._password.encode() + self._username.encode())
            await self._reply(b"md5" + _md5(inner + body[:4]) + b"\0")
        elif method == _SASL and b"SCRAM-SHA-256" in body.split(b"\0"):
            self._scram = Scram(self._password)
            first = self._scram.first.encode()
            await self._reply(b"SCRAM-SHA-256\0" + len(first).to_bytes(4) + first)
        elif method == _SASL_MORE and self._scram is not None:
            await self._reply(self._scram.final(body.decode("utf-8", "replace")).encode())
        elif method == _SASL_END and self._scram is not None:
            self._scram.verify(body.decode("utf-8", "replace"))
        else:
            raise Failure(Reason.L7_STATUS, f"the server wants a login by method {method}")

    async def _reply(self, body: bytes) -> None:
        data = b"p" + (len(body) + 4).to_bytes(4) + body
        await self._stream.send(data, shown="proof of the password")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
