"""What kinds have in common that talk over TCP, with or without TLS.

The problem: a dozen protocols differ in their dialogue and in nothing else. The approach: their
options derive from `Securable`, which holds what concerns TLS; their probe is a `DialogueProbe`
around one function, which gets the stream and, where TLS begins midway, our side of it.

Must never log in over a plain connection where TLS was asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import MaxLen, MinLen, doc

from checkers import trust
from checkers.base import OptionError, Result, Target
from checkers.options import CheckOptions
from checkers.secret import PasswordFile, check_secrets, has

if TYPE_CHECKING:
    from checkers.stream import Stream

Dialogue = Callable[["Stream", trust.Client | None], Awaitable[str]]
"""Talks to a server; the client is there only if TLS has to be started by the dialogue."""

Word = Annotated[str, MinLen(1), MaxLen(4096)]
UserName = Annotated[Word | None, doc("Log in with this name; with `password`.")]
Password = Annotated[Word | None, doc("Log in with this password.")]

_FOR_TLS = ("ca", "server_name", "certificate", "key", "days_left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Securable(CheckOptions):
    """Options that concern TLS."""

    tls_modes: ClassVar[tuple[str, ...]] = ("none", "starttls", "implicit")
    """Those that the protocol has."""
    alpn: ClassVar[tuple[str, ...]] = ()
    """What TLS is asked to carry (RFC 7301), where servers insist on it."""

    tls: Annotated[
        Literal["none", "starttls", "implicit"],
        doc("`implicit`: TLS from the first byte on. `starttls`: it begins within the dialogue."),
    ] = "none"
    verify: trust.Verify = True
    ca: trust.Authorities = None
    server_name: trust.ServerName = None
    certificate: trust.Certificate = None
    key: trust.Key = None
    days_left: trust.DaysLeft = None

    def __post_init__(self) -> None:
        if self.tls == "none":
            for field in _FOR_TLS:
                if getattr(self, field) is not None:
                    raise OptionError(field, "is of no use without `tls`")
        if self.tls not in self.tls_modes:
            modes = " or ".join(f"`{mode}`" for mode in self.tls_modes)
            raise OptionError("tls", f"{self.kind} has no TLS of that sort: write {modes}")
        trust.check_settings(self)

    def problems_here(self) -> Iterator[OptionError]:
        """Files that are missing or hold no certificate."""
        return trust.unusable_files(self)


def check_login(options: CheckOptions) -> None:
    """Raise OptionError unless `username` and `password` are both there or both not."""
    check_secrets(options)
    username, password = getattr(options, "username", None), getattr(options, "password", None)
    if (username is None) == has(options, "password"):
        missing = "username" if username is None else "password"
        raise OptionError(missing, "`username` and `password` go together")
    for field, text in (("username", username), ("password", password)):
        if text is not None and any(character in text for character in "\r\n\0"):
            raise OptionError(field, "holds a line end or a zero byte")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurableLogin(Securable):
    """The same, for kinds that log in where they are told a name and a password."""

    secrets: ClassVar[tuple[str, ...]] = ("password",)

    username: UserName = None
    password: Password = None
    password_file: PasswordFile = None

    def __post_init__(self) -> None:
        Securable.__post_init__(self)  # not super(): a class with slots is made twice
        check_login(self)


class DialogueProbe:
    """One connection, one dialogue."""

    __slots__ = ("_dialogue", "_options")

    def __init__(self, options: Securable, dialogue: Dialogue) -> None:
        self._options = options
        self._dialogue = dialogue

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Talk once; raises ProbeError if that could not be tried."""
        # Here and not above: reading a configuration needs no event loop.
        from checkers.stream import converse

        mode = self._options.tls
        client = None if mode == "none" else trust.Client(self._options, alpn=self._options.alpn)

        async def talk(stream: Stream) -> str:
            return await self._dialogue(stream, client if mode == "starttls" else None)

        return await converse(
            target,
            timeout_s,
            talk,
            client=client if mode == "implicit" else None,
            keep_transcript=keep_transcript,
        )
