"""The check `http`: does the server answer one request as expected?

One connection, one request over HTTP/1.1 with `Connection: close`, one complete reply, one verdict:
the status must be one of those expected and the body must hold what is expected, where anything is
(`checkers.replies`). Several paths are asked one after another, and all must pass. Redirects are
not followed: a redirect is a status like any other, and where it leads is another server's
business.

One path over plain TCP is asked without a task (`checkers.asking`). What takes TLS, several paths
or secrets is asked over a stream; what is sent and how a reply is read and judged is the same.

`HttpOptions` is read wherever configurations are; what a probe needs beyond that is imported when
the first one runs. Must never retry: a server that answers every second time is half up, and
half up is down.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers import limits
from checkers.base import OptionError, Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.pattern import check_pattern
from checkers.recording import Failure, Recording
from checkers.replies import Expected, Scalar, judge
from checkers.secret import PasswordFile, check_secrets, has
from checkers.trust import Client

if TYPE_CHECKING:
    from checkers.exchange import Request
    from checkers.quick import Place, Quick
    from checkers.response import Reply

Status = int | str
"""A status (`200`) or a set of them (`"200-299"`, `"200,301-303"`)."""

_STATUS_MIN, _STATUS_MAX = 100, 599
_STATUS_PART = re.compile(r"\s*([0-9]{3})(?:\s*-\s*([0-9]{3}))?\s*", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,255}", re.ASCII)  # RFC 9110 5.6.2
_HEADER_VALUE = re.compile(r"([!-~]([ \t!-~]{0,4094}[!-~])?)?", re.ASCII)
_OURS = {
    "host": "write the option `host`",
    "connection": "every request has a connection of its own",
    "content-length": "it follows from the body",
    "transfer-encoding": "it follows from the body",
}
"""Headers that are not a user's to choose, and why."""

Path = Annotated[str, MinLen(1), MaxLen(2048)]
Text = Annotated[str, MinLen(1), MaxLen(4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions(CheckOptions):
    """Options of the check `http`."""

    kind: ClassVar[str] = "http"
    secrets: ClassVar[tuple[str, ...]] = ("password", "token")

    method: Annotated[
        Literal["GET", "HEAD", "OPTIONS", "POST"],
        doc("The request's method; the answer to HEAD has no body."),
    ] = "GET"
    path: Annotated[
        Path | Annotated[tuple[Path, ...], MinLen(1), MaxLen(limits.HTTP_PATHS_MAX)],
        doc(
            "What is asked for, with its query: begins with a slash. Or a list of them, asked one "
            "after another within the timeout; all must pass."
        ),
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
    matches: Annotated[
        Text | None,
        doc("Regular expression (Python's) to be found in the body within its first `body_limit`."),
    ] = None
    json_key: Annotated[
        Text | None,
        doc("Where in a JSON body the expected value is: `status`, `checks.db.0.state`."),
    ] = None
    json_value: Annotated[
        Scalar | None,
        doc("What is expected there: text, a number, `true` or `false`; same type, same value."),
    ] = None
    headers: Annotated[
        Mapping[str, str] | None, doc("Further headers of the request, by name.")
    ] = None
    username: Annotated[
        Text | None, doc("User name for basic authentication; with `password`.")
    ] = None
    password: Annotated[Text | None, doc("Password for basic authentication.")] = None
    password_file: PasswordFile = None
    token: Annotated[Text | None, doc("Token for bearer authentication.")] = None
    token_file: Annotated[
        Text | None,
        doc("File whose first line is the token, instead of `token`; not readable by others."),
    ] = None
    body: Annotated[
        Annotated[str, MinLen(1), MaxLen(65_536)] | None,
        doc("What a POST sends (UTF-8); its type is told by the header `Content-Type`."),
    ] = None
    body_limit: Annotated[
        int,
        Ge(0),
        Le(limits.HTTP_BODY_LIMIT_MAX),
        doc("Bytes of the body to read at most; the reply is judged by what was read until then."),
    ] = 65_536

    def __post_init__(self) -> None:
        parse_status(self.status)
        for path in self.paths:
            if not path.startswith("/"):
                raise OptionError("path", f"{path!r} does not begin with a slash")
            if not _VISIBLE.fullmatch(path):
                raise OptionError(
                    "path", f"{path!r} holds a space or a character to be written as %XX"
                )
        if self.host is not None and not _VISIBLE.fullmatch(self.host):
            raise OptionError("host", f"{self.host!r} is not a host name")
        self._check_expectations()
        self._check_credentials()
        if self.body is not None and self.method != "POST":
            raise OptionError("body", "only a POST sends a body: add `method: POST`")

    def _check_expectations(self) -> None:
        if (self.json_key is None) != (self.json_value is None):
            missing = "json_key" if self.json_key is None else "json_value"
            raise OptionError(missing, "`json_key` and `json_value` go together")
        for field in ("contains", "matches", "json_key"):
            if getattr(self, field) is None:
                continue
            if self.method == "HEAD":
                raise OptionError(field, "the answer to HEAD has no body that could contain it")
            if self.body_limit == 0:
                raise OptionError("body_limit", f"without a body there is no `{field}` in it")
        if self.contains is not None and len(self.contains.encode()) > self.body_limit:
            raise OptionError("body_limit", "smaller than the text that the body must contain")
        if self.matches is not None:
            check_pattern("matches", self.matches)

    def _check_credentials(self) -> None:
        check_secrets(self)
        if (self.username is None) == has(self, "password"):
            missing = "username" if self.username is None else "password"
            raise OptionError(missing, "`username` and `password` go together")
        if self.username is not None and ":" in self.username:
            raise OptionError("username", "a colon cannot be in it (RFC 7617 2)")
        if has(self, "token") and self.username is not None:
            raise OptionError("token", "either a token or a user name and password")
        if self.token is not None and not _VISIBLE.fullmatch(self.token):
            raise OptionError("token", "a token has no spaces and only ASCII")
        for name, value in (self.headers or {}).items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise OptionError("headers", f"{name!r}: {value!r} is no header of HTTP")
            if name.lower() in _OURS:
                raise OptionError("headers", f"{name}: {_OURS[name.lower()]}")
            if name.lower() == "authorization" and (has(self, "token") or self.username):
                raise OptionError("headers", f"{name}: either this or user name or token")

    @property
    def paths(self) -> tuple[str, ...]:
        """What is asked for, one after another."""
        return self.path if isinstance(self.path, tuple) else (self.path,)

    @property
    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """The further headers, authorization included."""
        written = tuple((self.headers or {}).items())
        if self.token is not None:
            return (("Authorization", f"Bearer {self.token}"), *written)
        if self.username is not None:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return (("Authorization", f"Basic {pair}"), *written)
        return written

    def make_probe(self) -> Probe:
        """A probe over plain TCP."""
        return HttpProbe(self)

    def make_quick(self, place: Place) -> Quick | None:
        """What asks without a task; None where it takes several paths or a secret."""
        if not self.is_quick:
            return None
        from checkers.asking import Asking

        return Asking(place, self.request(place.target, self.paths[0]), self.expected)

    @property
    def is_quick(self) -> bool:
        """Whether one connection without TLS is all, and nothing has to be kept secret."""
        has_secret = any(getattr(self, name) is not None for name in self.secret_options)
        return len(self.paths) == 1 and not has_secret

    def request(self, target: Target, path: str) -> Request:
        """What to ask of this target for one of the paths."""
        from checkers.exchange import Request

        host = self.host or _host(target)
        body = (self.body or "").encode()
        return Request(self.method, path, host, self.body_limit, self.request_headers, body)

    @property
    def expected(self) -> Expected:
        """What each reply must be."""
        status = self.status
        written = ", ".join(map(str, status)) if isinstance(status, tuple) else str(status)
        return Expected(
            statuses=parse_status(status),
            statuses_written=written,
            contains=self.contains,
            matches=self.matches,
            json_key=self.json_key,
            json_value=self.json_value,
        )

    def describe(self) -> str:
        """`http GET /healthz`."""
        return f"{self.kind} {self.method} {', '.join(self.paths)}"


@lru_cache(maxsize=256)
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


def _host(target: Target) -> str:
    return (
        f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    )


class HttpProbe:
    """One request for each path, one reply each."""

    __slots__ = ("_client", "_expected", "_options")

    def __init__(self, options: HttpOptions, client: Client | None = None) -> None:
        self._options = options
        self._client = client
        self._expected = options.expected

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once for each path; raises ProbeError if that could not be tried."""
        # Here and not above: reading a configuration needs no event loop and no HTTP. And before
        # the time runs: that the first probe has to load them is no fault of its server.
        import checkers.stream  # noqa: F401
        from checkers.quick import run_quick

        options = self._options
        if options.is_quick:
            make = options.make_quick
            return await run_quick(make, target, timeout_s, keep_transcript=keep_transcript)
        recording = Recording(keep_transcript=keep_transcript)
        sentence = ""
        for path in options.paths:
            try:
                sentence = await self._ask(target, path, recording, timeout_s)
            except Failure as failure:
                if len(options.paths) == 1:
                    return recording.failed(failure)
                return recording.failed(Failure(failure.reason, f"{path}: {failure.what}"))
        if len(options.paths) > 1:
            sentence = f"{len(options.paths)} paths answered as expected, the last with {sentence}"
        return recording.passed(sentence)

    async def _ask(self, target: Target, path: str, recording: Recording, timeout_s: float) -> str:
        """What to say of a pass; raises Failure."""
        import asyncio

        from checkers.exchange import Exchange
        from checkers.stream import Stream

        left_s = timeout_s - recording.elapsed_s
        if left_s <= 0:
            raise Failure(Reason.L7_TIMEOUT, "not asked in time: those before took too long")
        request = self._options.request(target, path)
        reply_max = request.body_limit + limits.HTTP_OVERHEAD_BYTES_MAX
        stream = Stream(target, recording, bytes_max=reply_max + limits.TLS_BYTES_MAX)
        exchange: Exchange | None = None
        try:
            async with asyncio.timeout(left_s):
                await stream.open()
                if self._client is not None:
                    await stream.secure(self._client)
                exchange = Exchange(request, recording)
                await stream.send(request.encoded(), shown=str(request))
                reply: Reply | None = None
                while reply is None:
                    reply = exchange.hear(await stream.receive())
        except TimeoutError:
            recording.check_punctual(timeout_s)
            raise (exchange or stream).timed_out() from None
        finally:
            stream.close()
        return judge(self._expected, reply)
