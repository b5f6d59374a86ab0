"""SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without channel binding.

Sans-I/O: three texts go out, two come in. The number of rounds is the server's to choose and costs
us processor time, so it is bounded. Must never take for proven a server that did not prove to know
the password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

ROUNDS_MAX = 50_000
"""About 20 ms; PostgreSQL's default is 4,096."""


class ScramError(ValueError):
    """What the server says is not SCRAM, or it does not know the password."""


class Scram:
    """One login."""

    def __init__(self, password: str, nonce: str | None = None) -> None:
        self._password = password.encode()
        self._nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        self._first_bare = f"n=,r={self._nonce}"
        self._server_signature = b""

    @property
    def first(self) -> str:
        """The first message. The user's name goes another way in PostgreSQL, and is left empty."""
        return f"n,,{self._first_bare}"

    def final(self, challenge: str) -> str:
        """The answer to the server's first message. Raises ScramError."""
        words = _attributes(challenge)
        nonce = words.get("r", "")
        try:
            salt = base64.b64decode(words.get("s", ""), validate=True)
            rounds = int(words.get("i", ""))
        except (binascii.Error, ValueError) as error:
            raise ScramError("not a challenge of SCRAM") from error
        if not nonce.startswith(self._nonce) or nonce == self._nonce or not salt:
            raise ScramError("a challenge to somebody else")
        if not 1 <= rounds <= ROUNDS_MAX:
            raise ScramError(f"{rounds} rounds asked, {ROUNDS_MAX} allowed")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        bare = f"c=biws,r={nonce}"
        message = f"{self._first_bare},{challenge},{bare}".encode()
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), message)
        return f"{bare},p={base64.b64encode(proof).decode()}"

    def verify(self, final: str) -> None:
        """Check the server's last message. Raises ScramError."""
        proof = base64.b64encode(self._server_signature).decode()
        if not self._server_signature:
            raise ScramError("an end without a challenge")
        if not hmac.compare_digest(_attributes(final).get("v", "").encode(), proof.encode()):
            raise ScramError("the server does not know the password")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _attributes(text: str) -> dict[str, str]:
    """`r=…,s=…,i=…`."""
    return {part[:1]: part[2:] for part in text.split(",") if part[1:2] == "="}
