"""A check that is passed by failing.

For what must not be there: an administration page from this side, a port that a firewall is to
close. Only the verdict is turned round. A probe that could not be made still says nothing, and a
server that passes by failing asks for no weight.
"""

from __future__ import annotations

from dataclasses import replace

from checkers.base import Probe, Reason, Result, Target


class InvertedProbe:
    """Another probe with its verdict turned round."""

    __slots__ = ("_probe",)

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Probe once; raises ProbeError if that could not be tried."""
        result = await self._probe.probe(target, timeout_s, keep_transcript=keep_transcript)
        return inverted(result)


def inverted(result: Result) -> Result:
    """The result with its verdict turned round, and why."""
    if result.healthy:
        sentence = f"passed, which is a failure here (inverted): {result.sentence}"
        return replace(
            result, healthy=False, reason=Reason.INVERTED, sentence=sentence, advice=None
        )
    sentence = f"failed, which is a pass here (inverted): {result.sentence}"
    return replace(result, healthy=True, reason=Reason.OK, sentence=sentence, advice=None)
