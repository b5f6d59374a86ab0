"""Who tells of its connections, and who asks: refusals, bounds, and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import pytest

from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.model import Table
from hadirector.peer import catching_up, mover, warming
from hadirector.peer.catching_up import CatchingUp
from hadirector.peer.messages import Answer, State
from hadirector.peer.mover import PeerGoneError
from hadirector.peer.policies import THIN_S
from hadirector.peer.teller import AGAIN_S, TELL_EVERY_S, Teller
from hadirector.peer.warming import TELLINGS_MAX, Warming
from hadirector.sync_teller import Told
from tests.hadirector.peer.samples import state

SYNC = ConnectionSync(interface="eth0", sync_id=51)
SENDS, RECEIVES = state(daemons=("active",)), state(daemons=("backup",))
TOLD = Told(connections=3, seconds=0.42, left_out={"ftp": 2, "not in the table": 1})
SAMPLE = ["a", "b", "c"]


class Scene:
    """A teller, its clock, and what its kernel's connections are."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ours: State = SENDS
        self.notes: list[str] = []
        self.tellings = 0
        self.told = TOLD
        self.error = ""
        self.teller = Teller(
            lambda: self.ours,
            self.notes.append,
            clock=lambda: self.now,
            wall=lambda: 1e9,
            tell=self.tell,
        )

    async def tell(
        self, sync: ConnectionSync, table: Table, *, may_go_on: Callable[[], bool]
    ) -> tuple[Told, list[str]]:
        self.tellings += 1
        assert may_go_on()
        if self.error:
            raise OSError(self.error)
        meanwhile = await self.asked()  # one at a time
        assert not meanwhile.done
        assert meanwhile.facts == {AGAIN_S: TELL_EVERY_S}
        return self.told, SAMPLE

    async def asked(self, sync: ConnectionSync | None = SYNC) -> Answer:
        return await self.teller.serve(7, "lb1", sync, Table())


@pytest.mark.asyncio
async def test_it_tells_and_says_what_it_left_out() -> None:
    scene = Scene()
    assert scene.teller.last is None
    answer = await scene.asked()
    sentence = "told lb1 of 3 connections in 0.4 s; 3 left out: 2 ftp, 1 not in the table"
    assert answer == Answer(
        number=7,
        done=True,
        sentence=sentence,
        notes=tuple(SAMPLE),
        facts={"connections": 3.0, "left_out": 3.0},
    )
    assert scene.notes == [sentence]
    assert scene.teller.last == {
        "at": 1e9,
        "sentence": sentence,
        "connections": 3,
        "seconds": 0.42,
        "left_out": {"ftp": 2, "not in the table": 1},
        "cut": None,
    }


@pytest.mark.asyncio
async def test_it_tells_no_more_often_than_so() -> None:
    scene = Scene()
    assert (await scene.asked()).done
    scene.now += TELL_EVERY_S - 2
    refused = await scene.asked()
    assert (refused.done, refused.facts) == (False, {AGAIN_S: 2.0})
    assert refused.sentence == "it has just told: again in 2 s"
    scene.now += 2
    assert (await scene.asked()).done
    assert scene.tellings == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("ours", "why"),
    [
        (RECEIVES, "its kernel does not send connections"),
        (state(daemons=("active",), paused=True), "it is paused, and sends nothing"),
    ],
)
async def test_who_should_not_send_does_not(ours: State, why: str) -> None:
    scene = Scene()
    scene.ours = ours
    answer = await scene.asked()
    assert (answer.done, answer.sentence, answer.facts) == (False, why, {})
    assert (scene.tellings, scene.notes) == (0, [])


@pytest.mark.asyncio
async def test_what_fails_or_is_cut_short_is_not_done() -> None:
    scene = Scene()
    assert not (await scene.asked(sync=None)).done
    scene.error = "no such device"
    answer = await scene.asked()
    assert answer.sentence == "cannot tell lb1 of our connections: no such device"
    assert not answer.done
    assert scene.notes == [answer.sentence]
    scene.now += TELL_EVERY_S
    scene.error, scene.told = "", Told(connections=1, seconds=60, left_out={}, cut="too long")
    answer = await scene.asked()
    assert answer.sentence == "told lb1 of 1 connections in 60.0 s; not all: too long"
    assert not answer.done


class Peer:
    """What the peer answers, in turn, and what our kernel holds."""

    def __init__(self, *answers: Answer | None, holds: int = 3) -> None:
        self.answers = list(answers)
        self.holds = holds
        self.asked: list[str] = []
        self.notes: list[str] = []
        self.now = 100.0
        self.warming = Warming(self.ask, self.held, self.notes.append, clock=lambda: self.now)

    def ask(self, verb: str, *, bound_s: float) -> Awaitable[Answer]:
        return self._answer(verb)

    async def _answer(self, verb: str) -> Answer:
        self.asked.append(verb)
        answer = self.answers.pop(0)
        if answer is None:
            raise PeerGoneError("lb2 is gone")
        return answer

    async def held(self, connections: Collection[str]) -> int:
        self.now += 1.0
        return min(self.holds, len(connections))

    async def is_warm(self, theirs: State | None = SENDS) -> bool:
        return await self.warming.is_warm(RECEIVES, theirs, 95)


def answered(
    *, done: bool = True, notes: tuple[str, ...] = (), facts: dict[str, float] | None = None
) -> Answer:
    return Answer(number=1, done=done, sentence="so it is", notes=notes, facts=facts or {})


ALL = answered(notes=("a", "b", "c"), facts={"connections": 1312, "left_out": 3})


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "LOOK_S", 0.0)


@pytest.mark.asyncio
async def test_told_of_all_it_is_warm_at_once() -> None:
    peer = Peer(ALL)
    assert not await peer.is_warm(None)
    assert not await peer.is_warm(RECEIVES)
    assert await peer.is_warm()
    told = "the peer told of 1312 connections; 3 of 3 looked for are held; it left out 3"
    assert peer.asked == [mover.TELL]
    assert peer.notes == [peer.warming.sentence] == [told]


@pytest.mark.asyncio
async def test_a_peer_with_nothing_to_tell_holds_up_nobody() -> None:
    peer = Peer(answered(facts={"connections": 0}))
    assert await peer.is_warm()


@pytest.mark.asyncio
async def test_what_was_lost_on_the_way_is_asked_for_once_more_and_no_oftener() -> None:
    peer = Peer(*[ALL] * TELLINGS_MAX, holds=1)
    for _ in range(100):
        assert not await peer.is_warm()
    assert peer.asked == [mover.TELL] * TELLINGS_MAX
    assert not peer.notes
    peer.holds = 3  # the kernel's own sync made up for it
    assert await peer.is_warm()


@pytest.mark.asyncio
async def test_one_that_has_just_told_is_asked_when_it_says() -> None:
    peer = Peer(answered(done=False, facts={AGAIN_S: 4.0}), ALL)
    assert not await peer.is_warm()
    peer.now += 3.5
    assert not await peer.is_warm()
    assert peer.asked == [mover.TELL]
    peer.now += 1.0
    assert await peer.is_warm()
    silly = Peer(answered(done=False, facts={AGAIN_S: 1e12}), ALL)
    assert not await silly.is_warm()
    silly.now += TELL_EVERY_S
    assert await silly.is_warm()


@pytest.mark.asyncio
async def test_a_channel_that_is_lost_meanwhile_counts_for_nothing() -> None:
    peer = Peer(*[None] * 5, ALL)
    for _ in range(5):
        assert not await peer.is_warm()
    assert await peer.is_warm()


@pytest.mark.asyncio
async def test_an_older_peer_that_cannot_tell_names_what_stands_there() -> None:
    cannot = Answer(number=1, done=False, sentence="it cannot tell")
    peer = Peer(cannot, answered(notes=("a", "b")))
    assert await peer.is_warm()
    assert peer.asked == [mover.TELL, mover.FLUSH]
    assert peer.notes == [
        "not told of all connections: it cannot tell",
        "holds 2 of 2 connections that stand on the peer",
    ]
    cold = Peer(cannot, answered(notes=("a", "b")), holds=0)
    assert not await cold.is_warm()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ALL, "the peer told of 1312 connections; 3 of 3 looked for are held; it left out 3"),
        (answered(done=False), "not told of all connections: so it is"),
        (None, "not told of all connections: lb2 is gone"),
    ],
)
async def test_a_backup_that_lacks_connections_asks_and_says_what_came_of_it(
    answer: Answer | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "LANDS_S", 0.0)
    peer, said = Peer(answer), asyncio.Event()

    def note(sentence: str) -> None:
        peer.notes.append(sentence)
        if len(peer.notes) > 1:
            said.set()

    catching = CatchingUp(peer.ask, peer.held, note)
    ours = state(connections=1, daemons=("backup",))
    theirs = state(connections=1312, daemons=("active",))
    for now in (0.0, THIN_S, THIN_S):
        catching.look(ours, theirs, 95, now)
    async with asyncio.timeout(10):
        await said.wait()
    asked = "1 connections here, 1312 there: the peer is asked to tell of all"
    assert peer.notes == [asked, told]
    assert (peer.asked, catching.sentence) == ([mover.TELL], told)
    await catching.aclose()


@pytest.mark.asyncio
async def test_a_stop_ends_what_is_asked() -> None:
    peer = Peer(ALL)
    catching = CatchingUp(peer.ask, peer.held, peer.notes.append)
    ours = state(connections=1, daemons=("backup",))
    for now in (0.0, THIN_S):
        catching.look(ours, state(connections=9, daemons=("active",)), 95, now)
    await catching.aclose()
    assert len(peer.notes) == 1
