"""Lines over a real socketpair: whole lines, the end, bounds on both sides."""

import asyncio
import socket

import pytest

from hadirector import limits
from hadirector.channel import Channel

BOUND_S = 10.0


async def pair() -> tuple[Channel, Channel]:
    left, right = socket.socketpair()
    return await Channel.over(left), await Channel.over(right)


@pytest.mark.asyncio
async def test_lines_arrive_whole_and_in_order() -> None:
    ours, theirs = await pair()
    ours.send(b"first\n")
    ours.send(b"second\n")
    assert await theirs.receive(timeout_s=BOUND_S) == b"first\n"
    assert await theirs.receive(timeout_s=BOUND_S) == b"second\n"
    ours.close()
    theirs.close()


@pytest.mark.asyncio
async def test_a_closed_channel_ends_after_what_was_sent() -> None:
    ours, theirs = await pair()
    ours.send(b"last\n")
    ours.close()
    ours.send(b"never\n")
    assert await theirs.receive(timeout_s=BOUND_S) == b"last\n"
    assert await theirs.receive(timeout_s=BOUND_S) is None
    theirs.close()


@pytest.mark.asyncio
async def test_half_a_line_is_the_end() -> None:
    left, right = socket.socketpair()
    ours = await Channel.over(left)
    with right:
        right.sendall(b"half")
    assert await ours.receive(timeout_s=BOUND_S) is None
    ours.close()


@pytest.mark.asyncio
async def test_silence_is_a_time_out_and_loses_nothing() -> None:
    ours, theirs = await pair()
    with pytest.raises(TimeoutError):
        await theirs.receive(timeout_s=0.01)
    ours.send(b"late\n")
    assert await theirs.receive(timeout_s=BOUND_S) == b"late\n"
    ours.close()
    theirs.close()


@pytest.mark.asyncio
async def test_a_line_beyond_the_bound_is_the_end() -> None:
    ours, theirs = await pair()
    ours.send(b"x" * (limits.MESSAGE_BYTES_MAX + 1024) + b"\n")
    assert await theirs.receive(timeout_s=BOUND_S) is None
    ours.close()
    theirs.close()


@pytest.mark.asyncio
async def test_who_does_not_read_loses_lines_and_holds_nobody_up() -> None:
    left, right = socket.socketpair()
    ours = await Channel.over(left)
    line = b"x" * (limits.MESSAGE_BYTES_MAX // 2) + b"\n"
    with right:
        for _ in range(5):
            ours.send(line)
        assert ours.lines_dropped == 2
    ours.close()
    await asyncio.sleep(0)  # the transport notices that nobody is there
