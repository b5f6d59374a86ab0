"""Who is asked tells the peer's kernel of all connections, when that is right, and not too often.

The problem: what goes out is work for both kernels, and whoever asks may ask at any moment. The
approach: one telling at a time, and `TELL_EVERY_S` between two; it is refused, with the reason,
where this kernel is none that sends, or this director is paused: a pause does nothing to anybody's
kernel, and the other's is one. What became of the last one is kept for `status`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from hadirector.connection_sync import ConnectionSync
from hadirector.ipvs.control import SyncRole
from hadirector.ipvs.model import Table
from hadirector.peer.messages import Answer, State
from hadirector.router_answers import Json
from hadirector.sync_teller import Told, tell_all

TELL_EVERY_S: Final = 10.0
"""Between the end of a telling and the next one's begin, at least."""
CONNECTIONS: Final = "connections"
LEFT_OUT: Final = "left_out"
AGAIN_S: Final = "again_s"
"""Names of what was measured, in the answer's facts; the last: in how many seconds to ask again."""

Tell: TypeAlias = Callable[..., Awaitable[tuple[Told, list[str]]]]


class Teller:
    """The tellings of one director."""

    def __init__(
        self,
        ours: Callable[[], State],
        note: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        tell: Tell = tell_all,
    ) -> None:
        """`ours`: how we are; `note` journals a sentence; `tell` sends, as `tell_all` does."""
        self._ours = ours
        self._note = note
        self._clock = clock
        self._wall = wall
        self._tell = tell
        self._under_way = False
        self._ended: float | None = None
        self.last: Json | None = None
        """The last telling, for `status`."""

    async def serve(
        self, number: int, peer: str, sync: ConnectionSync | None, table: Table
    ) -> Answer:
        """Do what the peer asks; its answer has a sample of what was told of."""
        if sync is None or not self._may_send():
            sentence = "its kernel does not send connections"
            if self._ours().paused:
                sentence = "it is paused, and sends nothing"
            return Answer(number=number, done=False, sentence=sentence)
        if (again_s := self._again_s()) > 0:
            sentence = f"it has just told: again in {again_s:.0f} s"
            facts = {AGAIN_S: again_s}
            return Answer(number=number, done=False, sentence=sentence, facts=facts)
        self._under_way = True
        try:
            told, sample = await self._tell(sync, table, may_go_on=self._may_send)
        except OSError as error:
            sentence = f"cannot tell {peer} of our connections: {error.strerror or error}"
            self._note(sentence)
            return Answer(number=number, done=False, sentence=sentence)
        finally:
            self._under_way = False
            self._ended = self._clock()
        sentence = f"told {peer} of {told}"
        self._note(sentence)
        left_out = dict(told.left_out)
        self.last = {
            "at": self._wall(),
            "sentence": sentence,
            CONNECTIONS: told.connections,
            "seconds": round(told.seconds, 3),
            LEFT_OUT: left_out,
            "cut": told.cut or None,
        }
        facts = {CONNECTIONS: float(told.connections), LEFT_OUT: float(sum(left_out.values()))}
        return Answer(
            number=number, done=not told.cut, sentence=sentence, notes=tuple(sample), facts=facts
        )

    def _again_s(self) -> float:
        if self._under_way:
            return TELL_EVERY_S
        if self._ended is None:
            return 0.0
        return self._ended + TELL_EVERY_S - self._clock()

    def _may_send(self) -> bool:
        ours = self._ours()
        return str(SyncRole.ACTIVE) in ours.sync.daemons and not ours.paused
