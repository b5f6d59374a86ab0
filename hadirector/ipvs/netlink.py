"""A small asyncio socket for one generic netlink family.

The problem: ten thousand changes must reach the kernel without ten thousand waits, every refusal
must find its way back to the message that caused it, and a lost answer must not hang the director.

The approach: up to ``BATCH_MAX`` requests go out in one send, and only the last asks for an
acknowledgement; the kernel handles them in order and reports a failure whether asked or not, so
the last answer says that all others are in. Answers are matched by sequence number. The kernel
works inside ``send``, so its answers are usually there already and no wait happens at all. After
a lost answer (time-out, ENOBUFS, cancellation) the socket is thrown away, because a late answer
must never be taken for another's.

Never: two tasks at once; a retry of something that may have been done; a word about IPVS.
"""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hadirector.ipvs import wire
from hadirector.ipvs.wire import Frame, Request

BATCH_MAX = 128
"""Requests per send. With the stock receive buffer 500 answers fit and 600 do not."""

ANSWER_TIMEOUT_S = 10.0
"""For one batch. Generous: the first use of a scheduler may load its module."""

DUMP_ATTEMPTS_MAX = 4
"""How often a dump that changes under our eyes is begun again."""

_DATAGRAM_BYTES_MAX = 65536  # the kernel makes dumps of at most 32 KiB a piece
_SEQUENCE_MAX = 0x7FFFFFFF

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GENERIC = 16


class NetlinkError(Exception):
    """Something between us and the kernel."""


class FamilyAbsentError(NetlinkError):
    """This kernel has no such generic netlink family, and could not load it."""


class AnswerLostError(NetlinkError):
    """It is not known what the kernel did with the last requests."""


class RefusedError(NetlinkError):
    """The kernel refused a request. ``errno`` says why."""

    def __init__(self, code: int, words: str) -> None:
        name, told = errno.errorcode.get(code, f"errno {code}"), f" ({words})" if words else ""
        super().__init__(f"{name}, {os.strerror(code).lower()}{told}")
        self.errno = code


class GenericNetlink:
    """Requests to one family, by its name. Opens its socket when first used."""

    def __init__(self, name: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._room = memoryview(bytearray(_DATAGRAM_BYTES_MAX))
        self._family = 0
        self._sequence = 1
        self._busy = False

    @property
    def family(self) -> int:
        """The family's number as last resolved; 0 before."""
        return self._family

    async def execute(self, requests: Sequence[Request]) -> list[tuple[int, str]]:
        """Do a batch of writes in order; for each its errno (0: done) and the kernel's words.

        A failed request does not stop those after it. Raises ``NetlinkError``.
        """
        if not 0 < len(requests) <= BATCH_MAX:
            raise ValueError(f"a batch of {len(requests)} requests")
        family = self._family or await self.resolve()
        first = self._first_sequence()
        last = first + len(requests) - 1
        batch = [self._pack(request, family, 0) for request in requests[:-1]]
        batch.append(self._pack(requests[-1], family, wire.NLM_F_ACK))
        answers: dict[int, tuple[int, str]] = {}

        def finished(frame: Frame) -> bool:
            if frame.type == wire.NLMSG_ERROR:
                answers[frame.sequence] = wire.unpack_error(frame)
            return frame.sequence == last

        await self._exchange(b"".join(batch), range(first, last + 1), finished)
        return [answers.get(sequence, (0, "")) for sequence in range(first, last + 1)]

    async def ask(self, request: Request) -> bytes:
        """The attributes of the one answer to a request. Raises ``NetlinkError``."""
        try:
            return await self._ask(request, self._family or await self.resolve())
        except RefusedError as error:
            self._forget(error)
            raise

    async def dump(self, request: Request) -> list[bytes]:
        """The attributes of every entry, in the kernel's order. Raises ``NetlinkError``.

        An entry may be missing or come twice when others write meanwhile.
        """
        family = self._family or await self.resolve()
        try:
            for _ in range(DUMP_ATTEMPTS_MAX):
                entries, interrupted = await self._dump(request, family)
                if not interrupted:
                    return entries
        except RefusedError as error:
            self._forget(error)
            self.close()  # while half a dump waits in the socket, another is refused (EBUSY)
            raise
        raise AnswerLostError(f"the kernel's table changed during {DUMP_ATTEMPTS_MAX} readings")

    async def resolve(self) -> int:
        """The family's number, asked anew (which may load its module). Raises ``NetlinkError``."""
        name = wire.pack_attribute(wire.CTRL_ATTR_FAMILY_NAME, self._name.encode() + b"\0")
        try:
            answer = await self._ask(Request(wire.CTRL_CMD_GETFAMILY, name), wire.GENL_ID_CTRL)
        except RefusedError as error:
            self._family = 0
            if error.errno == errno.ENOENT:
                raise FamilyAbsentError(f"this kernel has no {self._name}") from None
            raise
        number = wire.unpack_attributes(answer).get(wire.CTRL_ATTR_FAMILY_ID, b"")
        self._family = int.from_bytes(number, sys.byteorder)
        return self._family

    def close(self) -> None:
        """Give the socket back; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _ask(self, request: Request, family: int) -> bytes:
        answers: list[Frame] = []
        sequence = self._first_sequence()
        message = self._pack(request, family, 0)

        def finished(frame: Frame) -> bool:
            answers.append(frame)
            return True

        await self._exchange(message, range(sequence, sequence + 1), finished)
        if answers[0].type == wire.NLMSG_ERROR:
            raise RefusedError(*wire.unpack_error(answers[0]))
        return answers[0].payload

    async def _dump(self, request: Request, family: int) -> tuple[list[bytes], bool]:
        entries: list[bytes] = []
        flags = 0
        code, words = 0, ""
        sequence = self._first_sequence()
        message = self._pack(request, family, wire.NLM_F_DUMP)

        def finished(frame: Frame) -> bool:
            nonlocal flags, code, words
            flags |= frame.flags
            if frame.type == wire.NLMSG_ERROR:
                code, words = wire.unpack_error(frame)
                return True
            if frame.type == wire.NLMSG_DONE:
                code = wire.unpack_done(frame)
                return True
            entries.append(frame.payload)
            return False

        await self._exchange(message, range(sequence, sequence + 1), finished)
        if code:
            raise RefusedError(code, words)
        return entries, bool(flags & wire.NLM_F_DUMP_INTR)

    def _forget(self, error: RefusedError) -> None:
        """ENOENT may mean that the family's module is gone, or back with another number."""
        if error.errno == errno.ENOENT:
            self._family = 0

    def _first_sequence(self) -> int:
        """The number of the next request; begun anew before the 32 bits run out in a batch."""
        if self._sequence > _SEQUENCE_MAX:
            self._sequence = 1
        return self._sequence

    def _pack(self, request: Request, family: int, flags: int) -> bytes:
        sequence = self._sequence
        self._sequence += 1
        return wire.pack_request(request, family=family, flags=flags, sequence=sequence)

    async def _exchange(
        self, message: bytes, sequences: range, finished: Callable[[Frame], bool]
    ) -> None:
        """Send, and hand over every answer until ``finished`` says that was the last."""
        with self._sole_use() as connection:
            connection.send(message)
            # Mostly all is there by now: no time-out is armed before there is something to await.
            while (received := self._received(connection)) is not None:
                if _ended(*received, sequences, finished):
                    return
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(self._timeout_s):
                while True:
                    size, (port, _) = await loop.sock_recvfrom_into(connection, self._room)
                    if _ended(bytes(self._room[:size]), port, sequences, finished):
                        return

    def _received(self, connection: socket.socket) -> tuple[bytes, int] | None:
        """A datagram and its sender's port; None where none is there yet.

        It is received in the same place each time: fresh 64 KiB would be fresh pages.
        """
        try:
            size, (port, _) = connection.recvfrom_into(self._room)
        except BlockingIOError:
            return None
        return bytes(self._room[:size]), port

    @contextmanager
    def _sole_use(self) -> Iterator[socket.socket]:
        """The socket for one exchange; whatever goes wrong in it, the socket is not used again."""
        if self._busy:
            raise RuntimeError("two tasks use one netlink socket")
        self._busy = True
        try:
            if self._socket is None:
                self._socket = _connect()
            yield self._socket
        except TimeoutError:
            self.close()
            raise AnswerLostError(f"no answer from {self._name} in {self._timeout_s:g} s") from None
        except (OSError, wire.WireError) as error:
            self.close()
            raise AnswerLostError(f"netlink socket of {self._name}: {error}") from error
        except BaseException:
            self.close()
            raise
        finally:
            self._busy = False


def _ended(datagram: bytes, port: int, sequences: range, finished: Callable[[Frame], bool]) -> bool:
    """Hand over the answers of a datagram; whether the last is among them."""
    if port != 0:
        return False  # not from the kernel: any process may send to our socket
    frames = wire.unpack_frames(datagram)
    return any(frame.sequence in sequences and finished(frame) for frame in frames)


def _connect() -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    connection = socket.socket(socket.AF_NETLINK, kind, _NETLINK_GENERIC)
    try:
        connection.bind((0, 0))
        # Failures in words, and without the failed request repeated: five times as many fit.
        connection.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        connection.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    except OSError:
        connection.close()
        raise
    return connection
