"""The check `http`: does the server answer one request as expected?

One connection, one request over HTTP/1.1 with `Connection: close`, one complete reply, one verdict:
the status must be one of those expected and the body must hold the expected text, where one is
given. Redirects are not followed: a redirect is a status like any other, and where it leads is
another server's business.

`HttpOptions` is read wherever configurations are; what a probe needs beyond that (h11) is imported
when the first one runs. Must never retry: a server that answers every second time is half up, and
half up is down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers import limits
from checkers.base import CheckOptions, OptionError, Probe, Reason, Result, Target
from checkers.recording import Failure, Recording, quoted

if TYPE_CHECKING:
    import ssl

    from checkers.exchange import Reply

Status = int | str
"""A status (`200`) or a set of them (`"200-299"`, `"200,301-303"`)."""

_STATUS_MIN, _STATUS_MAX = 100, 599
_STATUS_PART = re.compile(r"\s*([0-9]{3})(?:\s*-\s*([0-9]{3}))?\s*", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions(CheckOptions):
    """Options of the check `http`."""

    kind: ClassVar[str] = "http"

    method: Annotated[
        Literal["GET", "HEAD", "OPTIONS"],
        doc("The request's method; the answer to HEAD has no body."),
    ] = "GET"
    path: Annotated[
        str, MinLen(1), MaxLen(2048), doc("What is asked for, with its query: begins with a slash.")
    ] = "/"
    host: Annotated[
        Annotated[str, MinLen(1), MaxLen(255)] | None,
        doc("The header `Host`, such as `www.example.org`; else the server's address and port."),
    ] = None
    status: Annotated[
        Status | tuple[Status, ...],
        doc('The status expected: `200`, a range `"200-299"`, or a list of both.'),
    ] = "200-299"
    contains: Annotated[
        Annotated[str, MinLen(1), MaxLen(4096)] | None,
        doc("Text that the body must hold (UTF-8, exact) within its first `body_limit` bytes."),
    ] = None
    body_limit: Annotated[
        int,
        Ge(0),
        Le(limits.HTTP_BODY_LIMIT_MAX),
        doc("Bytes of the body to read at most; the reply is judged by what was read until then."),
    ] = 65_536

    def __post_init__(self) -> None:
        parse_status(self.status)
        if not self.path.startswith("/"):
            raise OptionError("path", f"{self.path!r} does not begin with a slash")
        if not _VISIBLE.fullmatch(self.path):
            raise OptionError(
                "path", f"{self.path!r} holds a space or a character to be written as %XX"
            )
        if self.host is not None and not _VISIBLE.fullmatch(self.host):
            raise OptionError("host", f"{self.host!r} is not a host name")
        if self.contains is not None and self.method == "HEAD":
            raise OptionError("contains", "the answer to HEAD has no body that could contain it")
        if self.contains is not None and len(self.contains.encode()) > self.body_limit:
            raise OptionError("body_limit", "smaller than the text that the body must contain")

    def make_probe(self) -> Probe:
        """A probe over plain TCP."""
        return HttpProbe(self)

    def describe(self) -> str:
        """`http GET /healthz`."""
        return f"{self.kind} {self.method} {self.path}"


def parse_status(status: Status | tuple[Status, ...]) -> frozenset[int]:
    """The statuses meant. Raises OptionError, with what would be right, for anything else."""
    wanted: set[int] = set()
    for entry in status if isinstance(status, tuple) else (status,):
        for part in str(entry).split(","):
            match = _STATUS_PART.fullmatch(part)
            first = int(match[1]) if match else 0
            last = int(match[2] or match[1]) if match else 0
            if not _STATUS_MIN <= first <= last <= _STATUS_MAX:
                raise OptionError(
                    "status",
                    f"{part!r} is not a status: expected {_STATUS_MIN} to {_STATUS_MAX}, "
                    'such as 200, a range such as "200-299", or a list of both',
                )
            wanted.update(range(first, last + 1))
    if not wanted:
        raise OptionError("status", "an empty list: no answer could ever pass")
    return frozenset(wanted)


def judge(options: HttpOptions, wanted: frozenset[int], reply: Reply) -> str:
    """What to say of a reply that passes; raises Failure for one that does not."""
    if reply.status not in wanted:
        phrase = f" {quoted(reply.phrase, 40)}" if reply.phrase else ""
        where = f" to {quoted(reply.location)}" if reply.location else ""
        raise Failure(
            Reason.L7_STATUS,
            f"status {reply.status}{phrase}{where}, expected {_written(options.status)}",
        )
    if options.contains is not None and options.contains.encode() not in reply.body:
        extent = "" if reply.whole else f"the first {len(reply.body)} bytes of "
        raise Failure(
            Reason.L7_CONTENT,
            f"status {reply.status}, but {extent}the body ({quoted(reply.body, 40)}) "
            f"does not contain {quoted(options.contains.encode(), 40)}",
        )
    return f"status {reply.status}"


def _written(status: Status | tuple[Status, ...]) -> str:
    return ", ".join(map(str, status)) if isinstance(status, tuple) else str(status)


def _host(target: Target) -> str:
    return (
        f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    )


class Tls(Protocol):
    """What turns this probe into one over TLS; see `checkers.https`."""

    def context(self) -> ssl.SSLContext:
        """The settings, certificates included. Raises ProbeError if they cannot be had."""
        ...

    def name(self, target: Target) -> str:
        """The name that the server must prove to have."""
        ...


class HttpProbe:
    """One request, one reply."""

    __slots__ = ("_options", "_tls", "_wanted")

    def __init__(self, options: HttpOptions, tls: Tls | None = None) -> None:
        self._options = options
        self._tls = tls
        self._wanted = parse_status(options.status)

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        # Here and not above: reading a configuration needs no event loop and no HTTP.
        import asyncio

        from checkers.dial import dial
        from checkers.exchange import Exchange, Request

        options = self._options
        request = Request(
            options.method, options.path, options.host or _host(target), options.body_limit
        )
        context = None if self._tls is None else self._tls.context()
        name = None if self._tls is None else self._tls.name(target)
        recording = Recording(keep_transcript=keep_transcript)
        exchange = Exchange(request, recording)
        try:
            async with asyncio.timeout(timeout_s):
                connection = await dial(target, recording)
                reply = await exchange.over(connection, context, name, timeout_s)
            sentence = judge(options, self._wanted, reply)
        except TimeoutError:
            recording.check_punctual(timeout_s)
            failure = exchange.timed_out()
        except Failure as error:
            failure = error
        else:
            return recording.passed(sentence)
        finally:
            exchange.close()
        return recording.failed(failure)
