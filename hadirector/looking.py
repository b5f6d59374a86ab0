"""Readings of the table that give way to news.

The problem: one task owns the table, and reading a large one takes it a while; a server that went
down meanwhile must not wait for an audit. The approach: such a reading ends when somebody asks for
a turn, and is begun anew after that one, for those who wait for it as well. A bound keeps a storm
of news from putting it off for ever. Never: a decision about the table.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

from hadirector import limits
from hadirector.drains import LOOK
from hadirector.turns import AUDIT, Asked, TurnRequests

T = TypeVar("T")
_MAY_WAIT = frozenset({AUDIT, LOOK})


class Looks(Generic[T]):
    """The readings of one director. For the task that owns the table."""

    def __init__(
        self, requests: TurnRequests[T], read: Callable[[], Coroutine[object, object, object]]
    ) -> None:
        self._requests = requests
        self._read = read
        self._owed = Asked[T]()
        self._put_offs = 0

    async def ahead(self, asked: Asked[T]) -> bool:
        """Read for a turn that only looks; False: news came, and the turn is put off.

        Raises what the reading raises.
        """
        if self._put_offs < limits.AUDIT_PUT_OFF_MAX:
            if await self._requests.unless_asked(self._read()) is None:
                self._put_offs += 1
                owed = dict.fromkeys((*self._owed.reasons, *(asked.reasons or [AUDIT])))
                self._owed = Asked(list(owed), [*self._owed.waiting, *asked.waiting])
                return False
        else:
            await self._read()
        self._put_offs = 0
        return True

    def make_up(self) -> None:
        """After a turn: ask for the one that was put off for it."""
        owed, self._owed = self._owed, Asked[T]()
        if owed.reasons:
            self._requests.ask_again(owed)


def may_wait(asked: Asked[T]) -> bool:
    """Whether a turn only looks at the whole table."""
    reasons = asked.reasons or [AUDIT]
    return AUDIT in reasons and _MAY_WAIT.issuperset(reasons)
