"""The check `grpc`: does the server say SERVING of a service?

The health protocol of gRPC (grpc.health.v1.Health, method Check) over one HTTP/2 connection, spoken
with h2 and without gRPC's own library: request and reply are one field each, and a probe must keep
its deadline and its size by itself. A server without that service says UNIMPLEMENTED, which is
shown as what it is.

Must never take a reply for a pass that holds anything but SERVING, nor read more than a dialogue
may bring.

Sources: doc/health-checking.md and doc/PROTOCOL-HTTP2.md of gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Reason
from checkers.recording import Failure, plain, quoted
from checkers.securable import DialogueProbe, Securable

if TYPE_CHECKING:
    from h2.events import Event

    from checkers.stream import Stream
    from checkers.trust import Client

PATH: Final = "/grpc.health.v1.Health/Check"
OK: Final = 0
NOT_FOUND: Final = 5
UNIMPLEMENTED: Final = 12
SERVING: Final = 1
_STATUSES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES: Final = {
    2: "UNKNOWN",
    4: "DEADLINE_EXCEEDED",
    NOT_FOUND: "NOT_FOUND",
    7: "PERMISSION_DENIED",
    UNIMPLEMENTED: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    16: "UNAUTHENTICATED",
}
_SERVICE_FIELD: Final = b"\x0a"  # field 1, length-delimited
_STATUS_FIELD: Final = 0x08  # field 1, a varint
_HTTP_OK: Final = "200"
_SETTINGS_FRAME: Final = 4
_TYPE_AT: Final = 3
"""Where the type stands in a frame's head (RFC 9113 section 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcOptions(Securable):
    """Options of the check `grpc`."""

    kind: ClassVar[str] = "grpc"
    tls_modes: ClassVar[tuple[str, ...]] = ("none", "implicit")
    alpn: ClassVar[tuple[str, ...]] = ("h2",)

    service: Annotated[
        Annotated[str, MinLen(1), MaxLen(200)] | None,
        doc("Ask for this service, such as `shop.Cart`. Unwritten: for the server as a whole."),
    ] = None
    authority: Annotated[
        Annotated[str, MinLen(1), MaxLen(255)] | None,
        doc("The name of the server in the request (`:authority`). Unwritten: address and port."),
    ] = None
    grpc_status: Annotated[
        Annotated[int, Ge(0), Le(16)],
        doc("The gRPC status code to expect. Anything but 0 is answered without a health."),
    ] = OK

    def __post_init__(self) -> None:
        Securable.__post_init__(self)
        if self.authority is not None and not self.authority.isascii():
            raise OptionError("authority", "is not ASCII; write xn--… for other names")

    def make_probe(self) -> Probe:
        """A probe that calls Check once."""
        return DialogueProbe(self, self._talk)

    def describe(self) -> str:
        """Such as `grpc shop.Cart`."""
        return self.kind if self.service is None else f"{self.kind} {self.service}"

    async def _talk(self, stream: Stream, _: Client | None) -> str:
        authority = str(stream.target) if self.authority is None else self.authority
        scheme = "http" if self.tls == "none" else "https"
        call = Call(scheme, authority, self.service or "")
        what = f"Check of {self.service or 'the server'}"
        await stream.send(call.open(), shown=f"HTTP/2, {PATH}: {what}")
        stream.expect(f"answer to {what}")
        while not call.ended:
            await stream.more()
            answer = call.receive(await stream.exactly(len(stream.pending)))
            if answer:
                await stream.send(answer, shown="HTTP/2 acknowledgements")
        return self._judge(call)

    def _judge(self, call: Call) -> str:
        """The sentence of a pass; raises Failure."""
        code, text = call.code()
        if code != self.grpc_status:
            raise Failure(Reason.L7_STATUS, f"gRPC status {code}{text}{_meaning(code)}")
        if code != OK:
            return f"gRPC status {code}{text}, as expected"
        health = health_of(bytes(call.body))
        name = _STATUSES.get(health, str(health))
        if health != SERVING:
            raise Failure(Reason.L7_CONTENT, f"says {name}")
        return f"says {name}"


class Call:
    """One call over one HTTP/2 connection, sans I/O. Raises Failure where the server breaks it."""

    def __init__(self, scheme: str, authority: str, service: str) -> None:
        # Here and not above: reading a configuration needs no HTTP/2.
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        settings = H2Configuration(client_side=True, header_encoding="utf-8")
        self._connection = H2Connection(config=settings)
        self._scheme = scheme
        self._authority = authority
        self._service = service
        self._headers: dict[str, str] = {}
        self._head = b""
        self.body = bytearray()
        self.ended = False

    def open(self) -> bytes:
        """Return the bytes that begin the connection and make the call."""
        connection = self._connection
        connection.initiate_connection()
        stream_id = connection.get_next_available_stream_id()
        connection.send_headers(
            stream_id,
            [
                (":method", "POST"),
                (":scheme", self._scheme),
                (":path", PATH),
                (":authority", self._authority),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("user-agent", "hadirector"),
            ],
        )
        connection.send_data(stream_id, request(self._service), end_stream=True)
        return connection.data_to_send()

    def receive(self, data: bytes) -> bytes:
        """Take what the server said; return what must be answered."""
        from h2.exceptions import ProtocolError

        self._head += data[: _TYPE_AT + 1 - len(self._head)]
        if len(self._head) > _TYPE_AT and self._head[_TYPE_AT] != _SETTINGS_FRAME:
            # RFC 9113 section 3.4. h2 would wait for the rest of what it takes for a huge frame.
            raise Failure(Reason.L7_PROTOCOL, f"{quoted(data, 40)} is no HTTP/2")
        try:
            events = self._connection.receive_data(data)
        except (ProtocolError, UnicodeDecodeError) as error:
            why = plain(str(error).encode(), 80)
            raise Failure(Reason.L7_PROTOCOL, f"{quoted(data, 40)} is no HTTP/2: {why}") from error
        for event in events:
            self._take(event)
        return self._connection.data_to_send()

    def _take(self, event: Event) -> None:
        from h2 import events

        match event:
            case events.ResponseReceived() | events.TrailersReceived():
                self._headers |= {str(name): str(value) for name, value in event.headers or ()}
            case events.DataReceived():
                self.body += event.data or b""
                self._connection.acknowledge_received_data(
                    event.flow_controlled_length or 0, event.stream_id or 0
                )
            case events.StreamEnded():
                self.ended = True
            case events.StreamReset() | events.ConnectionTerminated():
                code = getattr(event.error_code, "name", event.error_code)
                raise Failure(Reason.L7_CLOSED, f"the call was ended by the server: {code}")
            case _:
                pass  # settings, pings and windows: h2 answers them

    def code(self) -> tuple[int, str]:
        """The gRPC status code, and the server's words on it; raises Failure if there is none."""
        http = self._headers.get(":status", "")
        if http != _HTTP_OK:
            raise Failure(Reason.L7_STATUS, f"HTTP status {plain(http.encode(), 20)}")
        written = self._headers.get("grpc-status", "")
        if not written.isdecimal() or not written.isascii():
            kind = self._headers.get("content-type", "nothing")
            raise Failure(
                Reason.L7_PROTOCOL, f"no gRPC status, but {quoted(kind.encode(), 40)} over HTTP/2"
            )
        words = self._headers.get("grpc-message", "")
        return int(written[:6]), f" {quoted(words.encode(), 80)}" if words else ""


def request(service: str) -> bytes:
    """A HealthCheckRequest in gRPC's framing: not compressed, length, message."""
    name = service.encode()
    message = _SERVICE_FIELD + varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4) + message


def varint(number: int) -> bytes:
    """A number as protocol buffers write it: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))


def health_of(body: bytes) -> int:
    """The status in a framed HealthCheckResponse; 0 where none is written (protocol buffers).

    Raises Failure if it is not one.
    """
    if len(body) < 5 or int.from_bytes(body[1:5]) != len(body) - 5:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(body, 40)} is no gRPC message")
    if body[0] != 0:
        raise Failure(Reason.L7_PROTOCOL, "the answer is compressed, which was not offered")
    message = body[5:]
    if not message:
        return 0
    if len(message) != 2 or message[0] != _STATUS_FIELD or message[1] > 0x7F:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(message, 40)} is no health")
    return message[1]


def _meaning(code: int) -> str:
    name = _CODES.get(code)
    hints: Mapping[int, str] = {
        NOT_FOUND: "the server knows no such service",
        UNIMPLEMENTED: "the server has no health service",
    }
    words = [word for word in (name, hints.get(code)) if word is not None]
    return f" ({': '.join(words)})" if words else ""
