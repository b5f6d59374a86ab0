"""One probe by hand: its transcript, and that nothing but a Result or a ProbeError comes of it."""

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from checkers import limits
from checkers.base import Probe, ProbeError, Reason, Result, Target
from checkers.check import Check
from checkers.once import run_once
from checkers.options import CheckOptions
from checkers.tcp import TcpOptions
from checkers.timing import Timing

LOCAL = ip_address("127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(CheckOptions):
    """A kind whose probe never ends, or raises what it must not."""

    error: Exception | None = None

    def make_probe(self) -> Probe:
        return _BrokenProbe(self.error)


class _BrokenProbe:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.asyncio
async def test_a_pass_has_a_transcript_where_asked_for() -> None:
    async with await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1") as server:
        target = Target(LOCAL, server.sockets[0].getsockname()[1])
        check = Check("web/1", target, TcpOptions())
        result = await run_once(check)
        assert (result.healthy, result.reason) == (True, Reason.OK)
        assert result.transcript
        assert (await run_once(check, keep_transcript=False)).transcript == ()


@pytest.mark.asyncio
async def test_a_failure_is_a_result() -> None:
    async with await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1") as server:
        target = Target(LOCAL, server.sockets[0].getsockname()[1])
    result = await run_once(Check("web/1", Target(LOCAL, 9), TcpOptions(port=target.port)))
    assert (result.healthy, result.reason) == (False, Reason.L4_REFUSED)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (None, "did not keep its own deadline of 0.01 s"),
        (ProbeError("no descriptor"), "no descriptor"),
        (ValueError("a bug"), "unexpected ValueError: a bug"),
    ],
)
@pytest.mark.asyncio
async def test_what_could_not_be_made_is_a_probe_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, sentence: str
) -> None:
    monkeypatch.setattr(limits, "PROBE_OVERRUN_S", 0.01)
    timing = Timing(timeout=0.01)
    with pytest.raises(ProbeError, match=sentence):
        await run_once(Check("web/1", Target(LOCAL, 9), Broken(error=error), timing))
