"""The table of every kind of check, and what it must say of each faulty server.

A row is one form of a kind: over UDP or TCP, in the clear or over TLS. What a row says of a state
is what all of its family say, but for what it names. `forms` tells which rows there must be, from
the kinds themselves: a new kind without its rows fails `test_every_state`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, get_args, get_origin

from checkers.agent import AgentOptions
from checkers.base import Reason
from checkers.dns import DnsOptions
from checkers.ftp import FtpOptions
from checkers.grpc import GrpcOptions
from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.imap import ImapOptions
from checkers.ldap import LdapOptions
from checkers.memcached import MemcachedOptions
from checkers.mysql import MysqlOptions
from checkers.ntp import NtpOptions
from checkers.options import CheckOptions
from checkers.pop3 import Pop3Options
from checkers.postgresql import PostgresqlOptions
from checkers.radius import RadiusOptions
from checkers.redis import RedisOptions
from checkers.sip import SipOptions
from checkers.smtp import SmtpOptions
from checkers.tcp import TcpOptions
from checkers.tls import TlsOptions
from checkers.udp import UdpOptions
from tests.checkers.behaviours import Answer, Turn
from tests.checkers.test_ldap import answer as ldap_result
from tests.checkers.test_mysql import greeting as mysql_greeting
from tests.checkers.test_mysql import packet as mysql_packet
from tests.checkers.test_postgresql import STARTING

REFUSED = {"refused": {Reason.L4_REFUSED}, "full": {Reason.L4_TIMEOUT}}
RESET = Reason.L4_RESET
"""Instead of what is said of a reset, where it comes before the connection is looked at."""

IN_THE_CLEAR: Mapping[str, set[Reason]] = REFUSED | {
    "silent": {Reason.L7_TIMEOUT},
    "drips": {Reason.L7_TIMEOUT},
    "resets": {Reason.L7_CLOSED, RESET},
    "closes": {Reason.L7_CLOSED},
    "garbage": {Reason.L7_PROTOCOL},
    "endless": {Reason.L7_PROTOCOL},
    "endless lines": {Reason.L7_PROTOCOL},
}
OVER_TLS: Mapping[str, set[Reason]] = REFUSED | {
    "silent": {Reason.TLS_TIMEOUT},
    "drips": {Reason.TLS_TIMEOUT},
    "resets": {Reason.TLS, RESET},
    "closes": {Reason.TLS},
    "garbage": {Reason.TLS},
    "endless": {Reason.TLS},
    "no TLS": {Reason.TLS},
    "expired": {Reason.TLS_CERTIFICATE},
    "expires soon": {Reason.TLS_CERTIFICATE},
    "wrong name": {Reason.TLS_CERTIFICATE},
    "untrusted": {Reason.TLS_CERTIFICATE},
    "silent within": {Reason.L7_TIMEOUT},
    "closes within": {Reason.L7_CLOSED},
}
INJECTED: Mapping[str, set[Reason]] = {"injected": {Reason.L7_PROTOCOL}}
"""Where TLS begins midway: something in the clear that came behind the agreement."""
DATAGRAMS: Mapping[str, set[Reason]] = {
    "refused": {Reason.L4_REFUSED},
    "silent": {Reason.L7_TIMEOUT},
    "garbage": {Reason.L7_PROTOCOL},
    "empty": {Reason.L7_PROTOCOL},
    "answers others": {Reason.L7_PROTOCOL},
}
CONNECTS_ONLY = {state: Reason.OK for state in IN_THE_CLEAR if state not in REFUSED}
"""A kernel accepts for a process, however that is."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One form of one kind."""

    options: CheckOptions
    wrong: Answer | None = None
    """The protocol's own way to say something else than expected; None: there is none."""
    of_wrong: Reason = Reason.L7_STATUS
    first: bool = False
    """Whether the server speaks first."""
    begins: Sequence[Turn] = ()
    """Up to where TLS begins midway."""
    agrees: bytes = b""
    """The last word before it."""
    opening: bytes = b"220-"
    """The right beginning of an answer, of which the first bytes decide nothing yet."""
    others: Answer | None = None
    """An answer that is for somebody else."""
    differs: Mapping[str, Reason] = field(default_factory=dict)


def always(data: bytes) -> Answer:
    return lambda _: data


def refused_name(query: bytes) -> bytes:
    """REFUSED (RFC 1035 4.1.1)."""
    return query[:2] + bytes((query[2] | 0x80, 5)) + query[4:]


def lengthy(answer: Answer) -> Answer:
    """The same over TCP."""

    def speak(heard: bytes) -> bytes:
        said = answer(heard[2:])
        return len(said).to_bytes(2) + said

    return speak


def busy(request: bytes) -> bytes:
    """A telephony server that has no time."""
    return b"SIP/2.0 503 busy\r\n" + request.partition(b"\r\n")[2]


def not_serving(request: bytes) -> bytes:
    """gRPC's health protocol: NOT_SERVING."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    server = H2Connection(config=H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(request)
    server.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    server.send_data(1, b"\0\0\0\0\2\x08\2")
    server.send_headers(1, [("grpc-status", "0")], end_stream=True)
    return server.data_to_send()


def kiss_of_death(question: bytes) -> bytes:
    """NTP's refusal (RFC 5905 7.4)."""
    return b"\xe4\0" + bytes(10) + b"RATE" + bytes(8) + question[40:48] + bytes(16)


def strange_radius(request: bytes) -> bytes:
    """An answer to this very request, signed by nobody."""
    return b"\2" + request[1:2] + (20).to_bytes(2) + bytes(16)


ENDLESS_BODY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 1000
BUSY_MYSQL = mysql_packet(b"\xff\x10\x04#08004Too many connections")
LDAP_REFUSES = ldap_result(2, 0x61, 49)
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

CLEAR_ROWS: tuple[Row, ...] = (
    Row(options=TcpOptions(), differs=CONNECTS_ONLY),
    Row(options=TcpOptions(hold=True), differs=CONNECTS_ONLY),
    Row(options=TcpOptions(half_open=True), differs=CONNECTS_ONLY),
    Row(options=TcpOptions(send="x"), differs=CONNECTS_ONLY),
    Row(
        options=TcpOptions(send="ask\r\n", expect="ready", refuse="broken"),
        wrong=always(b"broken\r\n"),
        of_wrong=Reason.L7_CONTENT,
        differs={"garbage": Reason.L7_CONTENT},
    ),
    Row(options=HttpOptions(), wrong=always(UNAVAILABLE), opening=UNAVAILABLE),
    Row(
        options=HttpOptions(contains="ready"),
        wrong=always(ENDLESS_BODY * 1000),
        opening=UNAVAILABLE,
        of_wrong=Reason.L7_CONTENT,
    ),
    Row(
        options=DnsOptions(name="www.example.org", transport="tcp"),
        wrong=lengthy(refused_name),
        differs={"garbage": Reason.L7_CLOSED},
    ),
    Row(options=AgentOptions(port=1), wrong=always(b"down\n"), first=True),
    Row(options=SmtpOptions(), wrong=always(b"421 busy\r\n"), first=True),
    Row(options=ImapOptions(), wrong=always(b"* BYE full\r\n"), first=True),
    Row(options=Pop3Options(), wrong=always(b"-ERR busy\r\n"), first=True),
    Row(options=FtpOptions(), wrong=always(b"421 full\r\n"), first=True),
    Row(options=RedisOptions(), wrong=always(b"-LOADING wait\r\n")),
    Row(options=MemcachedOptions(), wrong=always(b"SERVER_ERROR no memory\r\n")),
    Row(options=MysqlOptions(), wrong=always(BUSY_MYSQL), first=True, opening=mysql_greeting()),
    Row(options=PostgresqlOptions(), wrong=always(STARTING)),
    Row(options=LdapOptions(), wrong=always(LDAP_REFUSES), opening=LDAP_REFUSES),
    Row(
        options=SipOptions(transport="tcp"),
        wrong=busy,
        differs={"garbage": Reason.L7_CLOSED},
    ),
    Row(
        options=GrpcOptions(),
        wrong=not_serving,
        of_wrong=Reason.L7_CONTENT,
        opening=bytes.fromhex("000000040000000000"),
    ),
)

TLS_ROWS: tuple[Row, ...] = (
    Row(
        options=TlsOptions(),
        differs={"silent within": Reason.OK, "closes within": Reason.OK},
    ),
    Row(options=HttpsOptions(), wrong=always(UNAVAILABLE)),
    Row(options=SmtpOptions(tls="implicit"), wrong=always(b"421 busy\r\n"), first=True),
    Row(
        options=SmtpOptions(tls="starttls"),
        begins=((b"220 mx\r\n", 0), (b"250-mx\r\n250 STARTTLS\r\n", 0)),
        agrees=b"220 go\r\n",
        wrong=always(b"421 busy\r\n"),
    ),
    Row(options=ImapOptions(tls="implicit"), wrong=always(b"* BYE full\r\n"), first=True),
    Row(
        options=ImapOptions(tls="starttls"),
        begins=((b"* OK\r\n", 0),),
        agrees=b"a1 OK\r\n",
        wrong=always(b"* BYE full\r\n"),
    ),
    Row(options=Pop3Options(tls="implicit"), wrong=always(b"-ERR busy\r\n"), first=True),
    Row(
        options=Pop3Options(tls="starttls", username="joe", password="secret"),
        begins=((b"+OK\r\n", 0),),
        agrees=b"+OK\r\n",
        wrong=always(b"-ERR busy\r\n"),
    ),
    Row(options=FtpOptions(tls="implicit"), wrong=always(b"421 full\r\n"), first=True),
    Row(
        options=FtpOptions(tls="starttls", username="joe", password="secret"),
        begins=((b"220 ftp\r\n", 0),),
        agrees=b"234 go\r\n",
        wrong=always(b"421 full\r\n"),
    ),
    Row(options=RedisOptions(tls="implicit"), wrong=always(b"-LOADING wait\r\n")),
    Row(options=MemcachedOptions(tls="implicit"), wrong=always(b"SERVER_ERROR x\r\n")),
    Row(
        options=MysqlOptions(tls="starttls", username="joe", password="secret"),
        begins=((mysql_greeting(), 36),),  # its agreement is to say nothing
        differs={"injected": Reason.TLS},
        wrong=always(BUSY_MYSQL),
    ),
    Row(
        options=PostgresqlOptions(tls="starttls", username="joe", password="secret"),
        begins=((b"", 8),),
        agrees=b"S",
        wrong=always(STARTING),
    ),
    Row(options=LdapOptions(tls="implicit"), wrong=always(LDAP_REFUSES)),
    Row(
        options=LdapOptions(tls="starttls"),
        begins=((b"", 0),),
        agrees=ldap_result(1, 0x78, 0),
        wrong=always(LDAP_REFUSES),
    ),
    Row(
        options=GrpcOptions(tls="implicit"),
        wrong=not_serving,
        of_wrong=Reason.L7_CONTENT,
    ),
)

DATAGRAM_ROWS: tuple[Row, ...] = (
    Row(
        options=UdpOptions(send="ping", expect="pong"),
        wrong=always(b"pang"),
        of_wrong=Reason.L7_CONTENT,
        others=always(b"pang"),
        differs=dict.fromkeys(("garbage", "empty", "answers others"), Reason.L7_CONTENT),
    ),
    Row(
        options=UdpOptions(send="ping", expect="pong", silence=True),
        wrong=always(b"pang"),
        of_wrong=Reason.L7_CONTENT,
        others=always(b"pang"),
        differs={
            "silent": Reason.OK,
            **dict.fromkeys(("garbage", "empty", "answers others"), Reason.L7_CONTENT),
        },
    ),
    Row(
        options=DnsOptions(name="www.example.org"),
        wrong=refused_name,
        others=lambda query: refused_name(bytes((query[0] ^ 1,)) + query[1:]),
    ),
    Row(
        options=NtpOptions(),
        wrong=kiss_of_death,
        others=lambda question: kiss_of_death(question[::-1]),
    ),
    Row(
        options=RadiusOptions(secret="shared"),
        wrong=strange_radius,
        of_wrong=Reason.L7_PROTOCOL,
        others=lambda request: strange_radius(bytes((0, request[1] ^ 1))),
    ),
    Row(
        options=SipOptions(),
        wrong=busy,
        others=always(b"SIP/2.0 200 OK\r\nCall-ID: another\r\n\r\n"),
    ),
)

ELSEWHERE: Mapping[str, str] = {
    "script": "test_every_state.test_scripts",
    "file": "test_every_state.test_files",
    "ping": "test_ping, since a host that says nothing takes a network of its own",
}
"""Kinds without a server on a port, and where their states are."""


def form(options: CheckOptions) -> str:
    """Such as `dns tcp`, `smtp starttls`, `tcp hold`."""
    words = [options.kind]
    for name in ("transport", "tls"):
        words += [str(getattr(options, name))] if hasattr(options, name) else []
    words += [name for name in ("hold", "half_open") if getattr(options, name, False)]
    return " ".join(words)


def forms(kind: type[CheckOptions]) -> Iterator[str]:
    """Every row that a kind must have."""
    modes: Sequence[str] = getattr(kind, "tls_modes", ())
    transports: Sequence[str] = ()
    for option in fields(kind):
        if option.name == "transport":
            transports = _choices(kind)
    yield from (f"{kind.kind} {word}" for word in (*transports, *modes))
    if not modes and not transports:
        yield kind.kind
    yield from (f"{kind.kind} {word}" for word in ("hold", "half_open") if hasattr(kind, word))


def _choices(kind: type[CheckOptions]) -> tuple[str, ...]:
    from typing import get_type_hints

    hint = get_type_hints(kind)["transport"]
    assert get_origin(hint) is Literal
    return get_args(hint)
