"""The check `dns`: does a name server answer one question as expected?

Over UDP or TCP; the answer is judged by its code, its records, how many they are, and whether the
server says that it is the authority. dnspython makes and reads the messages, and is imported only
where such a check is used. Must never ask another server than the target, and never follow a
referral or an alias: what the server itself says is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers.base import OptionError, Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.recording import Failure, Recording, plain

if TYPE_CHECKING:
    from dns.message import Message, QueryMessage
    from dns.rdata import Rdata

    from checkers.stream import Stream

_UDP_BYTES = 1232  # what passes everywhere unfragmented (DNS flag day 2020)
_Code = Annotated[str, MinLen(1), MaxLen(20)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsOptions(CheckOptions):
    """Options of the check `dns`: the question and the answer expected."""

    kind: ClassVar[str] = "dns"

    name: Annotated[
        Annotated[str, MinLen(1), MaxLen(255)] | None,
        doc("The name asked for, such as `www.example.org`; required."),
    ] = None
    record: Annotated[
        str, MinLen(1), MaxLen(20), doc("The type of record asked for, such as `A` or `SOA`.")
    ] = "A"
    transport: Annotated[Literal["udp", "tcp"], doc("How the server is asked.")] = "udp"
    recursion: Annotated[bool, doc("Whether the server is asked to resolve the name for us.")] = (
        True
    )
    rcode: Annotated[
        _Code | Annotated[tuple[_Code, ...], MinLen(1)],
        doc("The code expected, such as `NOERROR` or `NXDOMAIN`, or a list of them."),
    ] = "NOERROR"
    answers: Annotated[
        Annotated[tuple[Annotated[str, MinLen(1), MaxLen(1024)], ...], MinLen(1), MaxLen(64)]
        | None,
        doc("Records of the type asked for that must be in the answer, as in a zone file."),
    ] = None
    answers_min: Annotated[
        Annotated[int, Ge(0), Le(1000)] | None,
        doc("Records of the type asked for at least; else 1 where only `NOERROR` is expected."),
    ] = None
    authoritative: Annotated[
        bool, doc("Whether the server must say that it is an authority for the name.")
    ] = False

    def __post_init__(self) -> None:
        if self.name is None:
            raise OptionError("name", "is missing: what should the server be asked for?")
        _Question(self)

    def make_probe(self) -> Probe:
        """A probe that asks once."""
        return DnsProbe(self)

    def describe(self) -> str:
        """`dns www.example.org A`."""
        return f"{self.kind} {self.name} {self.record}"


class _Question:
    """The options as dnspython's values. Raises OptionError."""

    __slots__ = ("codes", "name", "records", "records_min", "type")

    def __init__(self, options: DnsOptions) -> None:
        import dns.exception
        import dns.name
        import dns.rcode
        import dns.rdata
        import dns.rdataclass
        import dns.rdatatype

        try:
            self.name = dns.name.from_text(options.name or ".")
        except (dns.exception.DNSException, ValueError) as error:
            raise OptionError("name", f"{options.name!r} is no name in the DNS: {error}") from error
        try:
            self.type = dns.rdatatype.from_text(options.record)
        except (dns.exception.DNSException, ValueError) as error:
            raise OptionError("record", f"{options.record!r} is no type of record") from error
        if dns.rdatatype.is_metatype(self.type):
            raise OptionError("record", f"{options.record!r} is not one type of record")
        written = options.rcode if isinstance(options.rcode, tuple) else (options.rcode,)
        try:
            self.codes = frozenset(dns.rcode.from_text(code) for code in written)
        except (dns.exception.DNSException, ValueError) as error:
            raise OptionError("rcode", f"{options.rcode!r} is no code of the DNS") from error
        positive = self.codes == {dns.rcode.NOERROR}
        if not positive and (options.answers or options.answers_min):
            raise OptionError(
                "answers" if options.answers else "answers_min",
                "only an answer with the code NOERROR has records",
            )
        self.records_min = int(positive) if options.answers_min is None else options.answers_min
        self.records: list[tuple[str, Rdata]] = []
        for text in options.answers or ():
            try:
                record = dns.rdata.from_text(
                    dns.rdataclass.IN, self.type, text, origin=dns.name.root, relativize=False
                )
            except (dns.exception.DNSException, ValueError) as error:
                raise OptionError(
                    "answers", f"{text!r} is no record of type {options.record}: {error}"
                ) from error
            self.records.append((text, record))


class DnsProbe:
    """Asks once."""

    __slots__ = ("_options", "_question")

    def __init__(self, options: DnsOptions) -> None:
        self._options = options
        self._question = _Question(options)

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Ask once; raises ProbeError if that could not be tried."""
        query = self._query()
        if self._options.transport == "tcp":
            from checkers.stream import converse

            async def talk(stream: Stream) -> str:
                return await self._talk(stream, query)

            return await converse(target, timeout_s, talk, keep_transcript=keep_transcript)
        from checkers.datagram import ask, open_datagram

        return await ask(
            open_datagram(target),
            query.to_wire(),
            lambda wire: self._judge(query, wire),
            timeout_s,
            Recording(keep_transcript=keep_transcript),
        )

    def _query(self) -> QueryMessage:
        import dns.flags
        import dns.message

        question = self._question
        flags = dns.flags.RD if self._options.recursion else dns.flags.Flag(0)
        return dns.message.make_query(
            question.name, question.type, use_edns=0, payload=_UDP_BYTES, flags=flags
        )

    async def _talk(self, stream: Stream, query: QueryMessage) -> str:
        wire = query.to_wire()
        await stream.send(len(wire).to_bytes(2) + wire)  # RFC 1035 4.2.2
        length = int.from_bytes(await stream.exactly(2))
        sentence = self._judge(query, await stream.exactly(length))
        if sentence is None:
            raise Failure(Reason.L7_PROTOCOL, "the answer is to another question")
        return sentence

    def _judge(self, query: QueryMessage, wire: bytes) -> str | None:
        import dns.exception
        import dns.flags
        import dns.message
        import dns.rcode

        try:
            answer = dns.message.from_wire(wire, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError) as error:
            name = type(error).__name__
            raise Failure(Reason.L7_PROTOCOL, f"not a DNS message ({name})") from error
        if answer.id != query.id or not answer.flags & dns.flags.QR:
            return None
        code = dns.rcode.to_text(answer.rcode())
        if answer.rcode() not in self._question.codes:
            written = self._options.rcode
            wanted = ", ".join(written) if isinstance(written, tuple) else written
            raise Failure(Reason.L7_STATUS, f"answered {code}, expected {wanted}")
        if not query.is_response(answer):
            return None
        if self._options.authoritative and not answer.flags & dns.flags.AA:
            raise Failure(Reason.L7_CONTENT, f"answered {code}, but not as an authority")
        count = self._check_records(answer)
        return f"answered {code} with {count} record{'s' if count != 1 else ''}"

    def _check_records(self, answer: Message) -> int:
        import dns.flags

        question, record = self._question, self._options.record
        found = [item for group in answer.answer if group.rdtype == question.type for item in group]
        cut = " (cut off: ask with `transport: tcp`)" if answer.flags & dns.flags.TC else ""
        if len(found) < question.records_min:
            wanted = question.records_min
            raise Failure(
                Reason.L7_CONTENT,
                f"{len(found)} {record} records{cut}, expected {wanted} at least",
            )
        for text, wanted_record in question.records:
            if wanted_record not in found:
                seen = ", ".join(plain(item.to_text().encode(), 40) for item in found[:3])
                more = ", …" if len(found) > 3 else ""
                raise Failure(
                    Reason.L7_CONTENT,
                    f"no {record} record {text}{cut} among {seen or 'none'}{more}",
                )
        return len(found)
