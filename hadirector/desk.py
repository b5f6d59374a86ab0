"""What the local API asks of the director process: answers, and orders for servers.

It decides nothing: questions are answered from `Present`, and orders go to those who own what they
are about, who are then waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from hadirector import answers
from hadirector.answers import Present, audited
from hadirector.brakes import Brakes
from hadirector.ipvs.dataplane import DataplaneError
from hadirector.journal import Journal
from hadirector.names import server_called, service_called
from hadirector.overrides import ENABLE, Command, OverrideStore
from hadirector.pools import Pools
from hadirector.reconciler import HEALTH, Turn
from hadirector.router_answers import Json
from hadirector.turns import AUDIT, TurnRequests
from hadirector.verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class ByHand:
    """Who has to do with an order for a server."""

    overrides: OverrideStore
    verdicts: Verdicts
    pools: Pools
    brakes: Brakes


class Desk:
    """Answers for one director. `refresh` has its owners put what they know into `present`."""

    def __init__(
        self,
        present: Present,
        journal: Journal,
        *,
        turns: TurnRequests[Turn],
        reloads: TurnRequests[Json],
        hand: ByHand,
        refresh: Callable[[], None],
    ) -> None:
        self._present = present
        self._journal = journal
        self._turns = turns
        self._reloads = reloads
        self._hand = hand
        self._refresh = refresh

    def status(self) -> Json:
        """Everything about this director."""
        self._refresh()
        return answers.status(self._present)

    def explain(self, what: str) -> Json:
        """Why something is as it is; raises UnknownSubjectError."""
        self._refresh()
        return answers.explain(self._present, what)

    def events(self, count: int) -> list[Json]:
        """The last events of the journal, oldest first."""
        return [asdict(event) for event in self._journal.newest(count)]

    async def reload(self, asked_by: str) -> Json:
        """Read the configuration again; what is wrong with it changes nothing."""
        return await self._reloads.ask_and_wait(asked_by)

    async def audit(self) -> Json:
        """Compare the table with what it should be, now."""
        try:
            return audited(await self._turns.ask_and_wait(AUDIT))
        except DataplaneError as error:
            return audited(error)

    async def override(self, what: str, command: Command, *, by: str) -> Json:
        """Take an administrator's order for a server; raises UnknownSubjectError."""
        key, hand = server_called(self._present.config, what), self._hand
        changed, sentence = hand.overrides.give(key, command, by=by)
        if command.verb == ENABLE and hand.verdicts.resume(key):
            resumed = "resumed by hand: its checks may bring it back again"
            sentence = f"{sentence}; {resumed}" if changed else f"{key}: {resumed}"
            changed = True
            self._journal.add("override", f"{key}: resumed by hand", subject=key, by=by)
        hand.pools.touch(key)
        table, failures = await turn_told(self._turns, command.verb)
        told: Json = {"server": key, "changed": changed, "sentence": sentence, "table": table}
        return {**told, "failures": list(failures), "now": self.explain(key)}

    async def believe(self, what: str, *, by: str) -> Json:
        """Believe the failures of a service; raises UnknownSubjectError."""
        service = service_called(self._present.config, what)
        sentence = self._hand.brakes.believe(service, by=by)
        table, failures = await turn_told(self._turns, HEALTH)
        told: Json = {"service": service, "sentence": sentence, "table": table}
        return {**told, "failures": list(failures), "now": self.explain(service)}


async def turn_told(turns: TurnRequests[Turn], why: str) -> tuple[str, tuple[str, ...]]:
    """Have a turn taken for somebody who waits: its sentence, and what failed."""
    try:
        turn = await turns.ask_and_wait(why)
    except DataplaneError as error:
        return f"the table cannot be kept: {error}; {error.remedy}", (str(error),)
    return turn.sentence, turn.failures
