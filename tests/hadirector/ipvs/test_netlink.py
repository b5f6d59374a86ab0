"""The socket, against the generic netlink controller that every Linux kernel has."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hadirector.ipvs import wire
from hadirector.ipvs.netlink import (
    BATCH_MAX,
    DUMP_ATTEMPTS_MAX,
    AnswerLostError,
    FamilyAbsentError,
    GenericNetlink,
    RefusedError,
)
from hadirector.ipvs.wire import Frame, Request

NAME = wire.pack_attribute(wire.CTRL_ATTR_FAMILY_NAME, b"nlctrl\0")
GET = Request(wire.CTRL_CMD_GETFAMILY, NAME)
LIST = Request(wire.CTRL_CMD_GETFAMILY)
UNKNOWN = Request(200, NAME)


pack_request = wire.pack_request


def pack_nothing(request: Request, *, family: int, flags: int, sequence: int) -> bytes:
    """A message of the no-operation type (1): the kernel leaves it unanswered."""
    return pack_request(request, family=1, flags=flags, sequence=sequence)


@pytest.fixture
def controller() -> Iterator[GenericNetlink]:
    netlink = GenericNetlink("nlctrl", timeout_s=0.05)
    yield netlink
    netlink.close()


@pytest.mark.asyncio
async def test_a_family_is_found_by_name(controller: GenericNetlink) -> None:
    assert await controller.resolve() == controller.family == wire.GENL_ID_CTRL
    answer = wire.unpack_attributes(await controller.ask(GET))
    assert answer[wire.CTRL_ATTR_FAMILY_NAME] == b"nlctrl\0"


@pytest.mark.asyncio
async def test_an_absent_family_is_told() -> None:
    netlink = GenericNetlink("no-such-family")
    with pytest.raises(FamilyAbsentError, match="this kernel has no no-such-family"):
        await netlink.dump(GET)
    netlink.close()


@pytest.mark.asyncio
async def test_a_dump_has_every_entry(controller: GenericNetlink) -> None:
    entries = await controller.dump(LIST)
    names = [wire.unpack_attributes(entry)[wire.CTRL_ATTR_FAMILY_NAME] for entry in entries]
    assert b"nlctrl\0" in names


@pytest.mark.asyncio
async def test_refusals_are_matched_to_their_requests(controller: GenericNetlink) -> None:
    batch = [Request(wire.CTRL_CMD_GETFAMILY, NAME)] * BATCH_MAX
    batch[5] = batch[BATCH_MAX - 1] = UNKNOWN
    answers = await controller.execute(batch)
    assert {place for place, (code, _) in enumerate(answers) if code} == {5, BATCH_MAX - 1}
    with pytest.raises(RefusedError, match="not supported"):
        await controller.ask(UNKNOWN)
    with pytest.raises(RefusedError, match="not supported"):
        await controller.dump(UNKNOWN)


@pytest.mark.asyncio
async def test_a_batch_has_a_bound(controller: GenericNetlink) -> None:
    with pytest.raises(ValueError, match="129 requests"):
        await controller.execute([GET] * (BATCH_MAX + 1))


@pytest.mark.asyncio
async def test_silence_has_a_bound_and_costs_the_socket(
    controller: GenericNetlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.resolve()
    monkeypatch.setattr(wire, "pack_request", pack_nothing)
    with pytest.raises(AnswerLostError, match=r"no answer from nlctrl in 0\.05 s"):
        await controller.ask(GET)
    monkeypatch.undo()
    assert await controller.ask(GET)


@pytest.mark.asyncio
async def test_two_tasks_at_once_are_refused(
    controller: GenericNetlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.resolve()
    monkeypatch.setattr(wire, "pack_request", pack_nothing)
    waiting = asyncio.create_task(controller.ask(GET))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="two tasks"):
        await controller.ask(GET)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    monkeypatch.undo()
    assert await controller.ask(GET)


@pytest.mark.asyncio
@pytest.mark.parametrize("interrupted", [1, DUMP_ATTEMPTS_MAX])
async def test_a_dump_that_changed_meanwhile_is_begun_again(
    controller: GenericNetlink, monkeypatch: pytest.MonkeyPatch, interrupted: int
) -> None:
    await controller.resolve()
    whole = await controller.dump(LIST)
    unpack_frames = wire.unpack_frames
    dumps = 0

    def unpack_interrupted(datagram: bytes) -> Iterator[Frame]:
        nonlocal dumps
        for frame in unpack_frames(datagram):
            flag = wire.NLM_F_DUMP_INTR if dumps < interrupted else 0
            dumps += frame.type == wire.NLMSG_DONE
            yield replace(frame, flags=frame.flags | flag)

    monkeypatch.setattr(wire, "unpack_frames", unpack_interrupted)
    if interrupted < DUMP_ATTEMPTS_MAX:
        assert await controller.dump(LIST) == whole
        assert dumps == interrupted + 1
    else:
        with pytest.raises(AnswerLostError, match="changed during 4 readings"):
            await controller.dump(LIST)
