"""The check `agent`: a program on the server says how it is.

HAProxy's agent protocol (its manual, `agent-check`): the agent sends one line over TCP and closes:
`up`, `down`, `maint`, `drain`, a share of the weight such as `75%`; see `checkers.words`. Must
never take a line for good that was not complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from checkers.base import Advice, OptionError, Probe, Reason, Result, Target
from checkers.options import CheckOptions
from checkers.payload import Send, payload
from checkers.recording import Failure
from checkers.words import WordError, understand

if TYPE_CHECKING:
    from checkers.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions(CheckOptions):
    """Options of the check `agent`."""

    kind: ClassVar[str] = "agent"
    lacks: ClassVar[Mapping[str, str]] = {"inverted": "an agent says itself what it means"}

    send: Send = None

    def __post_init__(self) -> None:
        if self.port is None:
            raise OptionError("port", "is missing: an agent has a port of its own")

    def make_probe(self) -> Probe:
        """A probe that reads one line."""
        return AgentProbe(payload("send", self.send, None))


class AgentProbe:
    """Reads one line."""

    __slots__ = ("_sent",)

    def __init__(self, sent: bytes) -> None:
        self._sent = sent

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Read once; raises ProbeError if that could not be tried."""
        from dataclasses import replace

        from checkers.stream import converse

        advice: list[Advice] = []

        async def talk(stream: Stream) -> str:
            if self._sent:
                await stream.send(self._sent)
            stream.expect("line of the agent")
            try:
                saying = understand(await stream.line())
            except WordError as error:
                raise Failure(Reason.L7_PROTOCOL, str(error)) from error
            if not saying.healthy:
                raise Failure(Reason.L7_STATUS, f"the agent says {saying.word}")
            if saying.advice is not None:
                advice.append(saying.advice)
            return f"the agent says {saying.word}, heard"

        result = await converse(target, timeout_s, talk, keep_transcript=keep_transcript)
        return replace(result, advice=advice[0]) if result.healthy and advice else result
