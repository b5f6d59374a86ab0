"""Probes without a task: their deadlines, and that nobody waits for another's server."""

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from checkers.base import Probe, Reason, Target
from checkers.check import Check
from checkers.options import CheckOptions
from checkers.poller import Poller
from checkers.quick import Place, Quick, Turns
from checkers.recording import Failure, Recording
from checkers.scheduler import Scheduler
from checkers.tcp import TcpOptions
from checkers.timing import Timing
from tests.checkers.virtual_time import run_virtual


class Slow:
    """Notes what it is told; ends only when its deadline comes."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.heard: list[str] = []

    def start(self) -> None:
        self.heard.append("start")

    def expire(self) -> None:
        self.heard.append("expire")
        self._turns.end(self)

    def close(self) -> None:
        self.heard.append("close")


def test_only_what_is_still_under_way_expires_in_the_order_of_deadlines() -> None:
    async def main() -> None:
        turns = Turns(Poller(asyncio.get_running_loop(), after=lambda: None))
        one, two, three = Slow(turns), Slow(turns), Slow(turns)
        turns.begin(one, 10.0, 5.0)
        turns.begin(two, 11.0, 1.0)
        turns.begin(three, 12.0, 5.0)
        assert (turns.next_deadline(), len(turns)) == (12.0, 3)
        turns.end(two)
        turns.begin(two, 13.0, 1.0)  # its next probe: the deadline of the first says nothing
        turns.expire(13.5)
        assert two.heard == ["start", "start"]
        turns.expire(15.0)
        assert (one.heard, two.heard[2:], three.heard) == (
            ["start", "expire"],
            ["expire"],
            ["start"],
        )
        assert (turns.next_deadline(), len(turns)) == (17.0, 1)
        turns.end(three)
        assert (turns.next_deadline(), len(turns)) == (None, 0)
        turns.close()

    asyncio.run(main())


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(CheckOptions):
    """Passes at once where the server is healthy; else never answers."""

    healthy: bool

    def make_quick(self, place: Place) -> Quick:
        return Prompt(place, healthy=self.healthy)

    def make_probe(self) -> Probe:
        return TcpOptions().make_probe()  # never made: there is a quick one


class Prompt:
    """As told."""

    def __init__(self, place: Place, *, healthy: bool) -> None:
        self._place = place
        self._healthy = healthy

    def start(self) -> None:
        if self._healthy:
            self._place.ended(Recording().passed("fine"))

    def expire(self) -> None:
        self._place.ended(Recording().failed(Failure(Reason.L4_TIMEOUT, "nothing")))

    def close(self) -> None:
        pass


def test_a_thousand_silent_servers_delay_none_of_a_thousand_healthy_ones() -> None:
    async def main() -> None:
        at: dict[str, list[float]] = {}
        loop = asyncio.get_running_loop()
        scheduler = Scheduler(
            lambda *_: None, lambda key, _: at.setdefault(key, []).append(loop.time())
        )
        timing = Timing(interval=1.0, timeout=1.0)
        scheduler.update(
            {
                f"{healthy} {number}": Check(
                    f"{healthy} {number}",
                    Target(IPv4Address("192.0.2.1") + number, 80 + healthy),
                    Told(healthy=healthy),
                    timing,
                )
                for healthy in (False, True)
                for number in range(1000)
            }
        )
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(20)
        await scheduler.aclose()
        await running
        gaps = [
            later - earlier
            for key, times in at.items()
            if key.startswith("True")
            for earlier, later in pairwise(times[2:])
        ]
        assert len(gaps) > 15_000
        assert min(gaps) >= 0.9
        assert max(gaps) <= 1.1
        assert len([key for key in at if key.startswith("False")]) == 1000

    run_virtual(main())
