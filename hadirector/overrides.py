"""What administrators ordered by hand, by server, kept across a restart of the director process.

The problem: a server drained for maintenance must stay drained when the daemon is restarted or
reloads its file, yet must not be found drained months later when nobody remembers why. The
approach: the orders are kept beside the daemon's socket, in a directory that is gone after a
reboot, and those for a server that leaves the configuration are dropped and journaled.

What an order means for a server's weight is `pool`'s to decide, never this module's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hadirector.journal import Journal
from hadirector.pool import Order, Override, Overrides

FILE_NAME = "overrides.json"
ENABLE = "enable"
DEFAULT = "default"
WEIGHT_MAX = 2**31 - 1  # as in a configuration file
BY_LENGTH_MAX = 60


class OrderError(ValueError):
    """No order that can be given; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants: an order to give, or to take back."""

    verb: str  # "drain", "disable", "enable" or "weight"
    weight: int | None = None  # of "weight"; None takes it back
    connections: int | None = None  # of "drain": disable it with so many left
    timeout_s: float | None = None  # of "drain": disable it then at the latest

    @classmethod
    def parse(
        cls, verb: str, weight: str = "", *, connections: str = "", timeout: str = ""
    ) -> Command:
        """Read what came with a request; raises OrderError."""
        if connections or timeout:
            return cls._timed(verb, connections, timeout)
        if verb not in (*Order, ENABLE):
            known = ", ".join((*Order, ENABLE))
            raise OrderError(f'nobody can order "{verb[:20]}"; there is: {known}')
        if verb != Order.WEIGHT or weight == DEFAULT:
            return cls(verb)
        number = weight if weight.isascii() and weight.isdigit() and len(weight) <= 10 else ""
        if not number or int(number) > WEIGHT_MAX:
            raise OrderError(f'"{weight[:20]}" is no weight: a number from 0 on, or "{DEFAULT}"')
        return cls(verb, int(number))

    @classmethod
    def _timed(cls, verb: str, connections: str, timeout: str) -> Command:
        if verb != Order.DRAIN:
            raise OrderError(f'only a drain ends by itself, and no "{verb[:20]}"')
        for text, what in ((connections, "number of connections"), (timeout, "time in seconds")):
            if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
                raise OrderError(f'"{text[:20]}" is no {what}')
        return cls(
            verb,
            connections=int(connections) if connections else None,
            timeout_s=float(timeout) if timeout else None,
        )

    def on(self, held: Overrides, *, by: str, now: float) -> Overrides:
        """The overrides of a server after this; the same ones if it changes nothing."""
        weights = self.verb == Order.WEIGHT
        kept = tuple(one for one in held if (one.order is Order.WEIGHT) is not weights)
        replaced = next((one for one in held if one not in kept), None)
        if self.verb == ENABLE or (weights and self.weight is None):
            return kept
        same = replaced is not None and (
            (replaced.order, replaced.weight, replaced.until_connections, replaced.deadline)
            == (self.verb, self.weight, self.connections, None)
        )
        if same and self.timeout_s is None:
            return held
        given = Override(
            order=Order(self.verb),
            weight=self.weight,
            by=by,
            since=now,
            until_connections=self.connections,
            deadline=None if self.timeout_s is None else now + self.timeout_s,
        )
        return (*kept, given) if weights else (given, *kept)


class OverrideStore:
    """The orders in force, on disk and in memory."""

    def __init__(
        self, directory: Path, journal: Journal, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Read what was ordered before; a file that cannot be read is told."""
        self._path = directory / FILE_NAME
        self._journal = journal
        self._clock = clock
        self.trouble: str | None = None  # why the orders are not kept, while they are not
        self.held: Mapping[str, Overrides] = {}  # by server_key
        try:
            self.held = _recall(self._path)
        except (OSError, ValueError) as error:
            self._in_trouble(f"what was overridden by hand before is not known: {error}")

    @property
    def drained(self) -> set[str]:
        """The servers that get no new clients by order, but may be in the table."""
        return {
            key
            for key, orders in self.held.items()
            if any(one.takes_no_new_connections for one in orders)
        }

    def give(self, key: str, command: Command, *, by: str) -> tuple[bool, str]:
        """Take an order for this server: whether it changes anything, and a sentence on it."""
        before = self.held.get(key, ())
        after = command.on(before, by=by[:BY_LENGTH_MAX], now=self._clock())
        told = ", ".join(map(str, after)) or "not overridden"
        if after == before:
            kept = command.verb == ENABLE and bool(after)  # a weight, which is no drain
            hint = f" (`hadirector weight {key} {DEFAULT}` takes it back)" if kept else ""
            return False, f"{key}: nothing to change: {told}{hint}"
        sentence = f"{key}: {told}"
        if command.verb == ENABLE or (command.verb == Order.WEIGHT and command.weight is None):
            back = ", ".join(str(one) for one in before if one not in after)
            sentence = f"{key}: taken back: {back}" + (f"; still {told}" if after else "")
        self._hold({**self.held, key: after})
        self._journal.add("override", sentence, subject=key, by=by[:BY_LENGTH_MAX])
        return True, sentence

    def keep_only(self, keys: Collection[str]) -> None:
        """Drop what was ordered for servers that are not configured any more."""
        gone = {key: orders for key, orders in self.held.items() if key not in keys}
        if not gone:
            return
        self._hold({key: orders for key, orders in self.held.items() if key in keys})
        for key, orders in gone.items():
            told = ", ".join(map(str, orders))
            sentence = f"{key} is not configured any more; forgotten: {told}"
            self._journal.add("override", sentence, subject=key)

    def _hold(self, held: Mapping[str, Overrides]) -> None:
        self.held = {key: orders for key, orders in held.items() if orders}
        text = json.dumps({key: [asdict(one) for one in o] for key, o in self.held.items()})
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            fresh.write_text(text)
            fresh.replace(self._path)
        except OSError as error:
            self._in_trouble(
                f"{self._path} cannot be written: a restart forgets what is "
                f"overridden by hand: {error.strerror}"
            )
        else:
            self.trouble = None

    def _in_trouble(self, sentence: str) -> None:
        if self.trouble != sentence:
            self._journal.add("override", sentence)
        self.trouble = sentence


def _recall(path: Path) -> dict[str, Overrides]:
    """What the file holds, nothing where there is none; raises OSError or ValueError."""
    try:
        held = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    if not isinstance(held, dict):
        raise ValueError(f"{path} is no list of overrides")
    try:
        return {key: _overrides(orders) for key, orders in held.items()}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no list of overrides: {error!r}") from error


def _overrides(orders: Iterable[Mapping[str, object]]) -> Overrides:
    read = []
    for one in orders:
        order, weight, since = Order(str(one["order"])), one["weight"], one["since"]
        fits = isinstance(weight, int) if order is Order.WEIGHT else weight is None
        if not fits or not isinstance(since, int | float):
            raise TypeError(f"{dict(one)}")
        connections, deadline = one.get("until_connections"), one.get("deadline")
        if not isinstance(connections, int | None) or not isinstance(deadline, int | float | None):
            raise TypeError(f"{dict(one)}")
        read.append(
            Override(
                order=order,
                weight=weight if isinstance(weight, int) else None,
                by=str(one["by"]),
                since=since,
                until_connections=connections,
                deadline=deadline,
            )
        )
    return tuple(read)
