"""The deadlines of probes without a task."""

import asyncio

from checkers.poller import Poller
from checkers.quick import Turns


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
