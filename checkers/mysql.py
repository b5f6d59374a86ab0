"""The check `mysql`: does a database server greet, and let us in where a name is given?

MySQL's client/server protocol, version 10, which MariaDB speaks as well: the server greets with a
packet that tells its version, or with an error such as "too many connections". With `username` the
check logs in (mysql_native_password and caching_sha2_password) and takes its leave properly. Must
never send a statement, nor a password in the clear without TLS.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from checkers.base import OptionError, Probe, Reason
from checkers.recording import Failure, plain, quoted
from checkers.secret import PasswordFile, check_secrets, has
from checkers.securable import DialogueProbe, Password, Securable, UserName

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client

# Capabilities (MySQL source documentation, "Capabilities Flags").
_LONG_PASSWORD, _PROTOCOL_41, _SSL, _SECURE, _PLUGIN = 0x1, 0x200, 0x800, 0x8000, 0x80000
_CAPABILITIES = _LONG_PASSWORD | _PROTOCOL_41 | _SECURE | _PLUGIN
_PACKET_MAX = 1 << 14
_UTF8MB4 = 45
_OK, _MORE, _SWITCH, _ERROR = 0x00, 0x01, 0xFE, 0xFF
_FAST_OK, _FULL = 0x03, 0x04
_STEPS_MAX = 5
_NATIVE, _SHA2 = b"mysql_native_password", b"caching_sha2_password"


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlOptions(Securable):
    """Options of the check `mysql`."""

    kind: ClassVar[str] = "mysql"
    secrets: ClassVar[tuple[str, ...]] = ("password",)
    tls_modes: ClassVar[tuple[str, ...]] = ("none", "starttls")

    username: UserName = None
    password: Password = None
    password_file: PasswordFile = None

    def __post_init__(self) -> None:
        Securable.__post_init__(self)
        check_secrets(self)
        if has(self, "password") and self.username is None:
            raise OptionError("username", "is missing: whose password is it?")
        if self.username is not None and "\0" in self.username:
            raise OptionError("username", "holds a zero byte")

    def make_probe(self) -> Probe:
        """A probe that reads the greeting, and logs in where it can."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        sequence, greeting = await _packet(stream, "greeting")
        version, nonce, plugin = _read_greeting(greeting)
        if client is not None:
            if not _capabilities(greeting) & _SSL:
                raise Failure(Reason.TLS, "the server offers no TLS")
            request = _head(_CAPABILITIES | _SSL)
            await _send(stream, sequence + 1, request, shown="request for TLS")
            sequence += 1
            await stream.secure(client)
        if self.username is None:
            return f"greeted by version {version}"
        flags = _CAPABILITIES | (_SSL if client is not None else 0)
        proof = _proof(plugin, self._password, nonce)
        login = _head(flags) + self.username.encode() + b"\0"
        login += bytes((len(proof),)) + proof + plugin + b"\0"
        await _send(stream, sequence + 1, login, shown=f"login as {self.username}")
        await self._log_in(stream, plugin, nonce, secured=client is not None)
        await _send(stream, 0, b"\x01", shown="quit")
        return f"logged in as {self.username} to version {version}"

    @property
    def _password(self) -> bytes:
        return (self.password or "").encode()

    async def _log_in(self, stream: Stream, plugin: bytes, nonce: bytes, *, secured: bool) -> None:
        for _ in range(_STEPS_MAX):
            sequence, answer = await _packet(stream, "answer to the login")
            kind = answer[0]
            if kind == _OK:
                return
            if kind == _SWITCH:
                plugin, _, rest = answer[1:].partition(b"\0")
                nonce = rest.rstrip(b"\0")
                proof = _proof(plugin, self._password, nonce)
                await _send(stream, sequence + 1, proof, shown="proof of the password")
            elif kind == _MORE and answer[1:2] == bytes((_FULL,)):
                if not secured:
                    raise Failure(
                        Reason.L7_STATUS,
                        "the server wants the password itself, which is sent over TLS only",
                    )
                await _send(stream, sequence + 1, self._password + b"\0", shown="password …")
            elif kind != _MORE or answer[1:2] != bytes((_FAST_OK,)):
                break
        raise Failure(Reason.L7_PROTOCOL, "the answer to the login cannot be understood")


def _head(flags: int) -> bytes:
    """What a login and a request for TLS begin with."""
    return (
        flags.to_bytes(4, "little")
        + _PACKET_MAX.to_bytes(4, "little")
        + bytes((_UTF8MB4, *bytes(23)))
    )


async def _send(stream: Stream, sequence: int, payload: bytes, *, shown: str) -> None:
    await stream.send(
        len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload, shown=shown
    )


async def _packet(stream: Stream, what: str) -> tuple[int, bytes]:
    """The next packet, not empty and no error."""
    stream.expect(what)
    head = await stream.exactly(4)
    length = int.from_bytes(head[:3], "little")
    if not 0 < length <= _PACKET_MAX:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(head, 10)} begins no {what}")
    payload = await stream.exactly(length)
    if payload[0] == _ERROR:
        code = int.from_bytes(payload[1:3], "little")
        text = payload[9:] if payload[3:4] == b"#" else payload[3:]
        raise Failure(Reason.L7_STATUS, f"error {code} {quoted(text)}")
    return head[3], payload


def _read_greeting(payload: bytes) -> tuple[str, bytes, bytes]:
    """Version, nonce and name of the way to log in."""
    version, end, rest = payload[1:].partition(b"\0")
    if payload[0] != 10 or not end or len(rest) < 31:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(payload, 40)} is no greeting of version 10")
    nonce_length = max(13, rest[20] - 8)
    nonce = rest[4:12] + rest[31 : 31 + nonce_length].rstrip(b"\0")
    plugin = rest[31 + nonce_length :].partition(b"\0")[0] or _NATIVE
    return plain(version, 40), nonce, plugin


def _capabilities(payload: bytes) -> int:
    rest = payload[1:].partition(b"\0")[2]
    return int.from_bytes(rest[13:15], "little")


def _proof(plugin: bytes, password: bytes, nonce: bytes) -> bytes:
    """What proves that we know the password, without telling it."""
    if not password:
        return b""
    if plugin == _SHA2:
        once = hashlib.sha256(password).digest()
        mask = hashlib.sha256(hashlib.sha256(once).digest() + nonce).digest()
    elif plugin == _NATIVE:
        once = hashlib.sha1(password, usedforsecurity=False).digest()
        twice = hashlib.sha1(once, usedforsecurity=False).digest()
        mask = hashlib.sha1(nonce + twice, usedforsecurity=False).digest()
    else:
        raise Failure(
            Reason.L7_STATUS, f"the server wants a login by {quoted(plugin, 40)}, not known here"
        )
    return bytes(one ^ other for one, other in zip(once, mask, strict=True))
