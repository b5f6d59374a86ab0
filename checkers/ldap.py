"""The check `ldap`: does a directory server let us in, and has it the entry expected?

RFC 4511. A bind, anonymous unless a name is given; then, with `base`, a search for that one entry.
The few messages are made and read here: BER with definite lengths. Must never ask for the values of
an entry, nor change one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers.base import Probe, Reason
from checkers.recording import Failure, quoted
from checkers.securable import DialogueProbe, SecurableLogin

if TYPE_CHECKING:
    from checkers.stream import Stream
    from checkers.trust import Client

# Tags: RFC 4511 appendix B.
_SEQUENCE, _INTEGER, _OCTETS, _ENUMERATED, _BOOLEAN = 0x30, 0x02, 0x04, 0x0A, 0x01
_BIND, _BOUND, _UNBIND = 0x60, 0x61, b"\x30\x05\x02\x01\x7f\x42\x00"
_SEARCH, _ENTRY, _DONE, _REFERENCE = 0x63, 0x64, 0x65, 0x73
_EXTENDED, _EXTENDED_ANSWER = 0x77, 0x78
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_MESSAGE_MAX = 1 << 15
_MESSAGES_MAX = 10
_RESULTS = {
    1: "operations error",
    8: "stronger authentication required",
    10: "referral",
    13: "confidentiality required",
    32: "no such object",
    49: "invalid credentials",
    50: "insufficient access rights",
    51: "busy",
    52: "unavailable",
    53: "unwilling to perform",
}
"""RFC 4511 appendix A, those that a check meets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapOptions(SecurableLogin):
    """Options of the check `ldap`."""

    kind: ClassVar[str] = "ldap"

    base: Annotated[
        Annotated[str, MinLen(1), MaxLen(1024)] | None,
        doc("The entry that must be there, such as `dc=example,dc=org`."),
    ] = None

    def make_probe(self) -> Probe:
        """A probe that binds, and looks for the entry where one is named."""
        return DialogueProbe(self, self._talk)

    async def _talk(self, stream: Stream, client: Client | None) -> str:
        if client is not None:
            request = _encode(_EXTENDED, _encode(0x80, _START_TLS))
            await stream.send(_message(1, request), shown="request for TLS")
            await _result(stream, 1, _EXTENDED_ANSWER, "StartTLS")
            await stream.secure(client)
        name = (self.username or "").encode()
        bind = _encode(_INTEGER, b"\x03") + _encode(_OCTETS, name)
        bind += _encode(0x80, (self.password or "").encode())
        await stream.send(_message(2, _encode(_BIND, bind)), shown=f"bind {self.username or ''}")
        await _result(stream, 2, _BOUND, "bind")
        said = f"bound as {self.username}" if self.username else "bound"
        if self.base is not None:
            await stream.send(_message(3, _search(self.base)), shown=f"search {self.base}")
            entries = await _result(stream, 3, _DONE, "search")
            if not entries:
                raise Failure(Reason.L7_CONTENT, f"no entry {self.base}")
            said += f", found {self.base}"
        await stream.send(_UNBIND, shown="unbind")
        return said


def _encode(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    return bytes((tag, 0x82)) + size.to_bytes(2) + content


def _message(number: int, operation: bytes) -> bytes:
    return _encode(_SEQUENCE, _encode(_INTEGER, bytes((number,))) + operation)


def _search(base: str) -> bytes:
    """The entry `base` itself, without its attributes (RFC 4511 4.5.1.8)."""
    return _encode(
        _SEARCH,
        _encode(_OCTETS, base.encode())
        + _encode(_ENUMERATED, b"\0")
        + _encode(_ENUMERATED, b"\0")
        + _encode(_INTEGER, b"\x01")
        + _encode(_INTEGER, b"\0")
        + _encode(_BOOLEAN, b"\xff")
        + _encode(0x87, b"objectClass")
        + _encode(_SEQUENCE, _encode(_OCTETS, b"1.1")),
    )


async def _result(stream: Stream, number: int, tag: int, what: str) -> int:
    """Read up to the result of an operation; how many entries came. Raises Failure."""
    stream.expect(f"answer to {what}")
    entries = 0
    for _ in range(_MESSAGES_MAX):
        content = await _read(stream, what)
        kind, head, rest = _split(content, what)
        operation, body, _ = _split(rest, what)
        if kind != _INTEGER or int.from_bytes(head) not in (0, number):
            continue
        if operation in (_ENTRY, _REFERENCE):
            entries += operation == _ENTRY
        elif operation == tag or int.from_bytes(head) == 0:  # 0: a notice of disconnection
            code_tag, code, after = _split(body, what)
            if code_tag != _ENUMERATED:
                break
            if code != b"\0" or operation != tag:
                _, _, after = _split(after, what)
                raise _refusal(int.from_bytes(code), _split(after, what)[1], what)
            return entries
        else:
            break
    raise Failure(Reason.L7_PROTOCOL, f"that is no answer to {what}")


def _refusal(code: int, text: bytes, what: str) -> Failure:
    name = _RESULTS.get(code, "refused")
    because = f": {quoted(text)}" if text else ""
    return Failure(Reason.L7_STATUS, f"answer to {what} {name} ({code}){because}")


async def _read(stream: Stream, what: str) -> bytes:
    """The content of the next message."""
    head = await stream.exactly(2)
    size = head[1]
    if size & 0x80:
        count = size & 0x7F
        size = int.from_bytes(await stream.exactly(count)) if 0 < count <= 4 else _MESSAGE_MAX + 1
    if head[0] != _SEQUENCE or size > _MESSAGE_MAX:
        raise Failure(Reason.L7_PROTOCOL, f"{quoted(head, 10)} begins no answer to {what}")
    return await stream.exactly(size)


def _split(data: bytes, what: str) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows of the first element."""
    if len(data) >= 2:
        size, start = data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start])
        if start + size <= len(data):
            return data[0], data[start : start + size], data[start + size :]
    raise Failure(Reason.L7_PROTOCOL, f"the answer to {what} is cut off")
