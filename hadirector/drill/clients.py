"""What the clients of a rehearsal go through: a probe every 10 ms, and connections kept open.

The machine that a rehearsal runs on may be busy with other things, and then everything in its
world stands still for a moment. So the client also asks a server beside itself, which needs no
director: while that one is silent too, silence says nothing of the pair.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from hadirector.lab.probes import INTERVAL_S, PROBE_BOUND_S, Client, Kept
from hadirector.lab.samples import Sample, Summary, held_against_somebody, summarise

POLL_S = 0.05
ANSWERED_LATELY_S = 0.5
CONNECTIONS = 10
SAMPLES_MAX = 100_000
SERVICE, REFERENCE = 0, 1
"""What the client asks, by its place among the targets."""


@dataclass(frozen=True, slots=True)
class _Judgement:
    since: float
    excused: frozenset[str]  # how requests may be lost
    otherwise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """What the clients went through in one scenario."""

    summary: Summary
    connections: Kept
    faults: tuple[str, ...]


class Clients:
    """The client process, seen from the scenarios. Its targets: SERVICE and REFERENCE."""

    def __init__(self, client: Client, *, connects: bool) -> None:
        self._client = client
        self.connects = connects  # over TCP: connections can be refused, and kept
        self._samples: list[Sample] = []
        self._reference: list[Sample] = []
        self._judgements: list[_Judgement] = []
        self._began_at = time.monotonic()

    def begin(self, *, settle_s: float = 0.0) -> None:
        """Forget what was, open the long-lived connections, and measure from `settle_s` later on.

        On each of them the client goes on asking all the while.
        """
        if self.connects:
            self._client.open_connections(CONNECTIONS)
            time.sleep(settle_s)
        self._client.collect()
        self._samples, self._reference, self._judgements = [], [], []
        self._began_at = time.monotonic()

    def finish(self) -> Experience:
        """Measure until here; waits until the probes under way have ended."""
        until = time.monotonic()
        connections = self._client.count_connections() if self.connects else Kept(0, 0)
        time.sleep(max(0.0, until + PROBE_BOUND_S + POLL_S - time.monotonic()))
        self._collect()
        return Experience(
            summary=summarise(
                self._samples,
                since=self._began_at,
                until=until,
                tick_s=INTERVAL_S,
                reference=self._reference,
            ),
            connections=connections,
            faults=tuple(self._faults(until)),
        )

    def judge_losses(
        self, *, since: float, otherwise: str, excused: frozenset[str] = frozenset()
    ) -> None:
        """Have a fault noted at the end if requests sent from `since` on were lost.

        `excused`: ways of being lost that do not count, such as "refused".
        """
        self._judgements.append(_Judgement(since, excused, otherwise))

    def who_answers(self, within_s: float) -> str:
        """The server that answers first of the probes sent from now on, or "nobody"."""
        since = time.monotonic()
        while time.monotonic() < since + within_s:
            time.sleep(POLL_S)
            for sample in self._collect():
                if sample.sent_at >= since and sample.answered_at is not None:
                    return sample.server
        return "nobody"

    def answered_lately(self) -> bool:
        """Whether the client had an answer in the last half second."""
        self._collect()
        since = time.monotonic() - ANSWERED_LATELY_S
        return any((sample.answered_at or 0) >= since for sample in self._samples[-200:])

    def _collect(self) -> list[Sample]:
        collected = self._client.collect()
        fresh = [sample for sample in collected if sample.target == SERVICE]
        beside = [sample for sample in collected if sample.target == REFERENCE]
        self._samples = [*self._samples, *fresh][-SAMPLES_MAX:]
        self._reference = [*self._reference, *beside][-SAMPLES_MAX:]
        return fresh

    def _faults(self, until: float) -> list[str]:
        faults = []
        counting = held_against_somebody(self._samples, self._reference, tick_s=INTERVAL_S)
        for judgement in self._judgements:
            summary = summarise(counting, since=judgement.since, until=until)
            blamed = [
                f"{count} {word}"
                for word, count in summary.failures.items()
                if word not in judgement.excused
            ]
            if blamed:
                how = ", ".join(blamed)
                faults.append(f"{judgement.otherwise}: {how}")
        return faults
