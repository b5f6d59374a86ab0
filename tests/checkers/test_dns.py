"""The check `dns` against BIND, and against servers that misbehave."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from checkers.base import OptionError, Reason, Result, Target
from checkers.dns import DnsOptions
from tests.checkers import packaged, servers
from tests.checkers.datagrams import Answering, against, silent
from tests.prerequisites import require

WWW = DnsOptions(name="www.example.test")
ZONE = """$TTL 60
@ SOA ns hostmaster 1 60 60 60 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.10
www A 192.0.2.11
www AAAA 2001:db8::a
alias CNAME www
text TXT "two words"
many TXT {many}
"""
CONFIG = """
options {{
    directory "{directory}"; pid-file none; session-keyfile "{directory}/session.key";
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; allow-query {{ any; }}; dnssec-validation no; max-udp-size 1232;
}};
controls {{ }};
zone "example.test" {{ type primary; file "zone"; }};
"""


@pytest.fixture(scope="module")
def bind() -> Iterator[Target]:
    require("named")
    port = servers.free_port()
    with packaged.open_directory("named") as directory:
        many = " ".join(f'"{number:0200d}"' for number in range(20))
        (directory / "zone").write_text(ZONE.format(many=many))
        (directory / "named.conf").write_text(CONFIG.format(directory=directory, port=port))
        arguments = ["named", "-g", "-n", "1", "-c", str(directory / "named.conf")]
        with packaged.running(arguments, directory, port) as target:
            yield target


def probe(target: Target, options: DnsOptions, timeout_s: float = 5.0) -> Result:
    return asyncio.run(options.make_probe().probe(target, timeout_s, keep_transcript=True))


def blank(sentence: str) -> str:
    return re.sub(r"\d+(\.\d)? ms$", "…", sentence)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (WWW, "answered NOERROR with 2 records in …"),
        (replace(WWW, record="aaaa", authoritative=True), "answered NOERROR with 1 record in …"),
        (replace(WWW, answers=("192.0.2.11",), answers_min=2), "answered NOERROR with 2 records"),
        (replace(WWW, record="MX", answers_min=0), "answered NOERROR with 0 records in …"),
        (DnsOptions(name="no.example.test", rcode="NXDOMAIN"), "answered NXDOMAIN with 0"),
        (DnsOptions(name=".", record="SOA", rcode=("REFUSED", "NOERROR")), "answered REFUSED"),
        (
            DnsOptions(name="text.example.test", record="TXT", answers=('"two words"',)),
            "answered NOERROR with 1 record in …",
        ),
        (
            DnsOptions(name="example.test", record="NS", answers=("NS.example.test.",)),
            "answered NOERROR with 1 record in …",
        ),
    ],
    ids=["A", "AAAA", "answers", "none", "nxdomain", "refused", "txt", "case"],
)
def test_bind_answers_as_expected(
    bind: Target, options: DnsOptions, sentence: str, transport: str
) -> None:
    result = probe(bind, replace(options, transport=transport))  # type: ignore[arg-type]
    assert result.healthy
    assert blank(result.sentence).startswith(sentence)


@pytest.mark.parametrize(
    ("options", "reason", "sentence"),
    [
        (
            DnsOptions(name="no.example.test"),
            Reason.L7_STATUS,
            "answered NXDOMAIN, expected NOERROR (L7) after …",
        ),
        (
            replace(WWW, rcode=("NXDOMAIN", "SERVFAIL")),
            Reason.L7_STATUS,
            "answered NOERROR, expected NXDOMAIN, SERVFAIL (L7) after …",
        ),
        (
            replace(WWW, answers_min=3),
            Reason.L7_CONTENT,
            "2 A records, expected 3 at least (L7) after …",
        ),
        (
            DnsOptions(name="alias.example.test", record="MX"),
            Reason.L7_CONTENT,
            "0 MX records, expected 1 at least (L7) after …",
        ),
    ],
)
def test_bind_answers_otherwise(
    bind: Target, options: DnsOptions, reason: Reason, sentence: str
) -> None:
    result = probe(bind, options)
    assert (result.reason, blank(result.sentence)) == (reason, sentence)


def test_a_missing_record_shows_what_was_there(bind: Target) -> None:
    result = probe(bind, replace(WWW, answers=("192.0.2.10", "192.0.2.99")))
    assert result.reason is Reason.L7_CONTENT
    assert re.match(r"no A record 192\.0\.2\.99 among 192\.0\.2\.1[01], 192", result.sentence)


def test_an_answer_cut_off_says_so_and_tcp_has_it(bind: Target) -> None:
    options = DnsOptions(name="many.example.test", record="TXT")
    assert "0 TXT records (cut off: ask with `transport: tcp`)" in probe(bind, options).sentence
    assert probe(bind, replace(options, transport="tcp")).healthy


def test_nobody_listens() -> None:
    target = Target(servers.LOOPBACK, servers.free_port())
    assert probe(target, WWW).reason is Reason.L4_REFUSED
    assert probe(target, replace(WWW, transport="tcp")).reason is Reason.L4_REFUSED


def other_id(data: bytes) -> Sequence[bytes]:
    return [bytes((data[0] ^ 1, *data[1:2], 0x80, *data[3:]))]


def echo(data: bytes) -> Sequence[bytes]:
    return [data]


def other_question(data: bytes) -> Sequence[bytes]:
    query = dns.message.make_query("elsewhere.test", "A", id=int.from_bytes(data[:2]))
    return [dns.message.make_response(query).to_wire()]


def late_answer_first(data: bytes) -> Sequence[bytes]:
    query = dns.message.from_wire(data)
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("www.example.test.", 60, "IN", "A", "192.0.2.1"))
    return [*other_id(data), *other_question(data), answer.to_wire()]


def test_an_answer_to_something_else_is_passed_over() -> None:
    assert against(late_answer_first, WWW).healthy
    result = against(late_answer_first, replace(WWW, authoritative=True))
    assert result.sentence.startswith("answered NOERROR, but not as an authority (L7) after ")


@pytest.mark.parametrize(
    ("answering", "reason", "sentence"),
    [
        (silent, Reason.L7_TIMEOUT, "no answer (L7) after "),
        (other_id, Reason.L7_TIMEOUT, "no answer (L7) after "),
        (other_question, Reason.L7_TIMEOUT, "no answer (L7) after "),
        (echo, Reason.L7_TIMEOUT, "no answer (L7) after "),
        (lambda _: [b"rubbish"], Reason.L7_PROTOCOL, "not a DNS message (ShortHeader) (L7)"),
        (lambda data: [data[:12]], Reason.L7_PROTOCOL, "not a DNS message ("),
        (
            lambda data: [data[:1] + b"?" + data[2:3]] + [other_id(data)[0]] * 100,
            Reason.L7_PROTOCOL,
            "not a DNS message (",
        ),
        (
            lambda data: [other_id(data)[0]] * 100,
            Reason.L7_PROTOCOL,
            "64 datagrams that do not answer the question (L7) after ",
        ),
    ],
    ids=["silent", "id", "question", "echo", "garbage", "short", "mixed", "flood"],
)
def test_other_answers_fail(answering: Answering, reason: Reason, sentence: str) -> None:
    result = against(answering, WWW, timeout_s=0.3)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def over_tcp(reply: bytes, timeout_s: float = 0.3) -> Result:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        writer.write(reply)
        await reader.read()

    async def main() -> Result:
        async with servers.serving(handle) as target:
            return await replace(WWW, transport="tcp").make_probe().probe(target, timeout_s)

    return asyncio.run(main())


def test_other_answers_fail_over_tcp_too() -> None:
    assert over_tcp(b"").reason is Reason.L7_TIMEOUT
    assert over_tcp(b"\0\x0c" + bytes(5)).sentence.startswith("answer not complete (")
    assert over_tcp(b"\0\x02ab").reason is Reason.L7_PROTOCOL
    assert over_tcp(b"\0\x0c" + bytes(12)).reason is Reason.L7_PROTOCOL


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"name": None}, "name", "is missing"),
        ({"name": "a..b"}, "name", "is no name in the DNS"),
        ({"name": "x" * 70 + ".test"}, "name", "is no name in the DNS"),
        ({"record": "NONSENSE"}, "record", "is no type of record"),
        ({"record": "ANY"}, "record", "is not one type"),
        ({"rcode": "FINE"}, "rcode", "is no code"),
        ({"rcode": "NXDOMAIN", "answers": ("192.0.2.1",)}, "answers", "only an answer with"),
        ({"rcode": ("NXDOMAIN", "NOERROR"), "answers_min": 2}, "answers_min", "only an answer"),
        ({"answers": ("2001:db8::1",)}, "answers", "is no record of type A"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(WWW, **change)  # type: ignore[arg-type]
    assert error.value.field == field
