"""The client: a process that asks each service every 10 ms and notes what came of it.

The problem: an outage of 30 ms shows only if requests leave every 10 ms, whatever became of the
ones before, on a kernel where each system call costs 50 microseconds. The approach: one forked
process with one epoll loop; each probe is a new connection (or datagram) with one request, on its
own, bounded in time and number. The same process holds the long-lived connections, which a failover
should keep.

The lab process talks to it in lines of JSON over a socket pair, one answer per question. It must
never: wait for one probe before it sends the next, or retry a probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from hadirector.lab.client_loop import ClientLoop, Ended, ProbeTarget
from hadirector.lab.dialogue import REPLY_BOUND_S, Dialogue
from hadirector.lab.forked import Forked, Ready
from hadirector.lab.samples import Sample
from hadirector.lab.world import Machine

INTERVAL_S: Final = 0.01
PROBE_BOUND_S: Final = 1.5
CONNECTIONS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """Long-lived connections: how many were opened, and how many of them still answer."""

    opened: int
    kept: int


class Client:
    """The client's process. `start` begins to probe; `collect` hands over what has ended since."""

    def __init__(
        self,
        machine: Machine,
        targets: Sequence[ProbeTarget],
        *,
        interval_s: float = INTERVAL_S,
        bound_s: float = PROBE_BOUND_S,
    ) -> None:
        self._dialogue = Dialogue("the client")
        theirs = self._dialogue.theirs

        def run(ready: Ready) -> None:
            loop = ClientLoop(theirs, targets, interval_s=interval_s, bound_s=bound_s)
            ready()
            loop.run()

        self._forked = Forked("the client", machine.namespace, run, keep=(theirs.fileno(),))

    def start(self) -> None:
        """Start it; the first probe leaves at once. Raises LabError."""
        self._forked.start()
        self._dialogue.forked()
        self._forked.await_ready()

    def collect(self) -> list[Sample]:
        """The probes that ended since the last call. Raises LabError if the client is gone."""
        ended = cast(list[Ended], self._dialogue.ask({"do": "collect"}))
        return [
            Sample(target=target, sent_at=sent, answered_at=answered, server=name, failure=failure)
            for target, sent, answered, name, failure in ended
        ]

    def open_connections(self, count: int, *, target: int = 0) -> int:
        """Open long-lived connections to a TCP target; returns how many got an answer."""
        if not 0 < count <= CONNECTIONS_MAX:
            raise ValueError(f"{count} connections are outside 1..{CONNECTIONS_MAX}")
        question: dict[str, object] = {"do": "open", "count": count, "target": target}
        return cast(int, self._dialogue.ask(question))

    def count_connections(self, *, bound_s: float = 5.0) -> Kept:
        """Ask once more on each connection opened, wait at most `bound_s`, and close them all."""
        question: dict[str, object] = {"do": "count", "bound_s": bound_s}
        reply = self._dialogue.ask(question, bound_s + REPLY_BOUND_S)
        return Kept(*cast(tuple[int, int], reply))

    def stop(self) -> None:
        """End the process. What was not collected is gone. May be called again."""
        self._forked.kill()
        self._dialogue.close()
