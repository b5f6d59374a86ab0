"""Netlink framing: padding, nesting, error answers with words, and damaged datagrams."""

import errno
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs import wire
from hadirector.ipvs.wire import Frame, Request, WireError


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40)))
def test_attributes_survive(attributes: dict[int, bytes]) -> None:
    packed = b"".join(wire.pack_attribute(kind, value) for kind, value in attributes.items())
    assert len(packed) % 4 == 0
    assert wire.unpack_attributes(packed) == attributes


def test_the_flags_of_an_attribute_are_no_part_of_its_type() -> None:
    assert wire.unpack_attributes(wire.pack_attribute(0x8000 | 1, b"x")) == {1: b"x"}


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_requests_are_frames(payloads: list[bytes]) -> None:
    datagram = b""
    for sequence, payload in enumerate(payloads):
        packed = wire.pack_request(Request(5, payload), family=20, flags=4, sequence=sequence)
        datagram += packed + bytes(-len(packed) % 4)
    frames = list(wire.unpack_frames(datagram))
    assert [frame.payload for frame in frames] == payloads
    assert all((frame.type, frame.flags) == (20, wire.NLM_F_REQUEST | 4) for frame in frames)
    assert [frame.sequence for frame in frames] == list(range(len(payloads)))


@pytest.mark.parametrize(
    "datagram",
    [b"\0" * 15, struct.pack("=IHHII", 15, 20, 0, 1, 0), struct.pack("=IHHII", 17, 20, 0, 1, 0)],
    ids=["no header", "shorter than a header", "longer than the datagram"],
)
def test_damaged_datagrams_are_refused(datagram: bytes) -> None:
    with pytest.raises(WireError):
        list(wire.unpack_frames(datagram))


@given(st.binary(max_size=100))
def test_noise_does_no_harm(noise: bytes) -> None:
    with suppress(WireError):
        for frame in wire.unpack_frames(noise):
            wire.unpack_attributes(frame.payload)
            wire.unpack_error(frame)
            wire.unpack_done(frame)


def error_frame(code: int, *, quoted: bytes, flags: int, words: str = "") -> Frame:
    told = wire.pack_attribute(1, words.encode() + b"\0") if words else b""
    return Frame(wire.NLMSG_ERROR, flags, 1, struct.pack("=i", -code) + quoted + told)


def test_errors_have_a_number_and_words() -> None:
    request = wire.pack_request(Request(5, b"data"), family=20, flags=0, sequence=1)
    whole = error_frame(errno.EINVAL, quoted=request, flags=0x200, words="too much")
    capped = error_frame(errno.EINVAL, quoted=request[:16], flags=0x300, words="too much")
    mute = error_frame(errno.EEXIST, quoted=request, flags=0)
    assert wire.unpack_error(whole) == wire.unpack_error(capped) == (errno.EINVAL, "too much")
    assert wire.unpack_error(mute) == (errno.EEXIST, "")
    assert wire.unpack_error(error_frame(0, quoted=request, flags=0x100)) == (0, "")


def test_a_dump_can_end_with_an_error() -> None:
    assert wire.unpack_done(Frame(wire.NLMSG_DONE, 0, 1, struct.pack("=i", -5))) == 5
    assert wire.unpack_done(Frame(wire.NLMSG_DONE, 0, 1, struct.pack("=i", 0))) == 0
    assert wire.unpack_done(Frame(wire.NLMSG_DONE, 0, 1, b"")) == 0
