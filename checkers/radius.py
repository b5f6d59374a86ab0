"""The check `radius`: does an authentication server answer, and let in whom it should?

Without a login the check asks Status-Server (RFC 5997), which servers answer with Access-Accept or,
on the accounting port, Accounting-Response. With one it asks for access (RFC 2865), which must be
given. Requests carry a Message-Authenticator (RFC 3579 3.2), and an answer counts only with a right
authenticator: who does not know the secret can neither ask nor answer.

Must never send the password but hidden as RFC 2865 5.2 says.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.recording import Failure, Recording, quoted
from checkers.secret import PasswordFile, has
from checkers.securable import Password, UserName, check_login

_ACCESS_REQUEST, _ACCEPT, _REJECT, _ACCOUNTED, _CHALLENGE, _STATUS = 1, 2, 3, 5, 11, 12
_USER_NAME, _USER_PASSWORD, _NAS_IDENTIFIER, _MESSAGE_AUTHENTICATOR = 1, 2, 32, 80
_REPLY_MESSAGE = 18
_NAMES = {_REJECT: "rejected", _CHALLENGE: "answered with a challenge"}
_HEAD_BYTES, _BLOCK_BYTES = 20, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusOptions(CheckOptions):
    """Options of the check `radius`."""

    kind: ClassVar[str] = "radius"
    secrets: ClassVar[tuple[str, ...]] = ("secret", "password")

    secret: Annotated[
        Annotated[str, MinLen(1), MaxLen(255)] | None,
        doc("The secret shared with the server. Required, or its file."),
    ] = None
    secret_file: Annotated[
        Annotated[str, MinLen(1), MaxLen(4096)] | None,
        doc("File whose first line is the secret, instead of `secret`; not readable by others."),
    ] = None
    username: UserName = None
    password: Password = None
    password_file: PasswordFile = None

    def __post_init__(self) -> None:
        if not has(self, "secret"):
            raise OptionError("secret", "is missing: without it the server answers nothing")
        check_login(self)
        for field, most in (("username", 253), ("password", 128)):
            if len((getattr(self, field) or "").encode()) > most:
                raise OptionError(field, f"is longer than RADIUS can carry ({most} bytes)")

    def make_probe(self) -> Probe:
        """A probe that asks once."""
        return RadiusProbe(self)


class RadiusProbe:
    """Asks once."""

    __slots__ = ("_options", "_secret")

    def __init__(self, options: RadiusOptions) -> None:
        self._options = options
        self._secret = (options.secret or "").encode()

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        from checkers.datagram import ask, open_datagram

        request = self._request()
        return await ask(
            open_datagram(target),
            request,
            lambda answer: self._judge(answer, request),
            timeout_s,
            Recording(keep_transcript=keep_transcript),
        )

    def _request(self) -> bytes:
        authenticator = os.urandom(16)
        attributes = _attribute(_NAS_IDENTIFIER, b"health-check")
        code = _STATUS
        if self._options.username is not None:
            code = _ACCESS_REQUEST
            attributes += _attribute(_USER_NAME, self._options.username.encode())
            password = (self._options.password or "").encode()
            attributes += _attribute(_USER_PASSWORD, hide(password, self._secret, authenticator))
        unsigned = attributes + _attribute(_MESSAGE_AUTHENTICATOR, bytes(16))
        head = bytes((code, os.urandom(1)[0]))
        head += (_HEAD_BYTES + len(unsigned)).to_bytes(2) + authenticator
        signature = hmac.digest(self._secret, head + unsigned, "md5")
        return head + attributes + _attribute(_MESSAGE_AUTHENTICATOR, signature)

    def _judge(self, answer: bytes, request: bytes) -> str | None:
        length = int.from_bytes(answer[2:4])
        if not _HEAD_BYTES <= length <= len(answer):
            raise Failure(Reason.L7_PROTOCOL, f"{quoted(answer, 40)} is no answer of RADIUS")
        if answer[1] != request[1]:
            return None
        answer = answer[:length]
        signed = answer[:4] + request[4:20] + answer[20:] + self._secret
        if hashlib.md5(signed, usedforsecurity=False).digest() != answer[4:20]:
            raise Failure(Reason.L7_PROTOCOL, "the answer is signed with another secret")
        code = answer[0]
        if code == _ACCEPT:
            who = self._options.username
            return "answered" if who is None else f"accepted {who}"
        if code == _ACCOUNTED and self._options.username is None:
            return "answered"
        text = _find(answer[20:], _REPLY_MESSAGE)
        because = f": {quoted(text)}" if text else ""
        what = _NAMES.get(code, f"answered with code {code}")
        raise Failure(Reason.L7_STATUS, f"{what}{because}")


def hide(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """The password as RFC 2865 5.2 hides it."""
    padded = password.ljust(-(-len(password) // _BLOCK_BYTES) * _BLOCK_BYTES, b"\0")
    hidden, before = b"", authenticator
    for place in range(0, len(padded), _BLOCK_BYTES):
        mask = hashlib.md5(secret + before, usedforsecurity=False).digest()
        block = padded[place : place + _BLOCK_BYTES]
        before = bytes(one ^ other for one, other in zip(block, mask, strict=True))
        hidden += before
    return hidden


def _attribute(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def _find(attributes: bytes, kind: int) -> bytes:
    """The first attribute of a kind; nothing if there is none, or they make no sense."""
    while len(attributes) >= 2 and attributes[1] >= 2:
        if attributes[0] == kind:
            return attributes[2 : attributes[1]]
        attributes = attributes[attributes[1] :]
    return b""
