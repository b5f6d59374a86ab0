"""A check that is passed by failing, against real sockets."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import ProbeError, Reason, Target
from checkers.check import Check
from checkers.once import run_once
from checkers.tcp import TcpOptions
from tests.checkers.servers import serving

INVERTED = TcpOptions(inverted=True)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def test_what_answers_fails_and_what_refuses_passes() -> None:
    async def main() -> None:
        async with serving(silent) as target:
            answered = await run_once(Check("k", target, INVERTED))
        refused = await run_once(Check("k", target, INVERTED))
        assert (answered.healthy, answered.reason) == (False, Reason.INVERTED)
        assert answered.sentence.startswith("passed, which is a failure here (inverted): connected")
        assert (refused.healthy, refused.reason) == (True, Reason.OK)
        assert "failed, which is a pass here (inverted): connection refused" in refused.sentence

    asyncio.run(main())


def test_a_probe_that_cannot_be_made_says_nothing_the_other_way_round_either() -> None:
    options = replace(INVERTED, source=ip_address("192.0.2.77"))
    with pytest.raises(ProbeError, match=r"no probe from 192\.0\.2\.77"):
        asyncio.run(run_once(Check("k", Target(ip_address("127.0.0.1"), 9), options)))


def test_it_is_another_check_and_says_so() -> None:
    target = Target(ip_address("10.0.0.1"), 80)
    plain, inverted = Check("k", target, TcpOptions()), Check("k", target, INVERTED)
    assert plain.digest != inverted.digest
    assert inverted.describe() == "not tcp at 10.0.0.1:80 (inverted)"
