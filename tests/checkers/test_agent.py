"""The check `agent`: what an agent says, and agents that say nothing of use."""

import asyncio

import pytest

from checkers.agent import AgentOptions
from checkers.base import Advice, OptionError, Reason
from tests.checkers.dialogues import against, saying

pytestmark = pytest.mark.usefixtures("no_leak")

AGENT = AgentOptions(port=9777)  # the scheduler applies it; a probe goes where it is told


@pytest.mark.parametrize(
    ("line", "advice", "sentence"),
    [
        (b"up\n", None, "the agent says up, heard in "),
        (b"75%\r\n", Advice(percent=75), "the agent says 75%, heard in "),
        (b"drain # patching\n", Advice(drain=True), "the agent says drain (patching), heard in "),
    ],
)
def test_a_server_that_is_up(line: bytes, advice: Advice | None, sentence: str) -> None:
    result = against(saying(line, close=True), AGENT)
    assert result.healthy
    assert (result.advice, result.sentence[: len(sentence)]) == (advice, sentence)


@pytest.mark.parametrize(
    ("line", "reason", "sentence"),
    [
        (b"down#disk full\n", Reason.L7_STATUS, "the agent says down (disk full) (L7) after "),
        (b"maint 50%\n", Reason.L7_STATUS, "the agent says maint 50% (L7) after "),
        (b"fine\n", Reason.L7_PROTOCOL, 'it says "fine", which means nothing (L7) after '),
        (b"\n", Reason.L7_PROTOCOL, "it says nothing (L7) after "),
        (b"up", Reason.L7_CLOSED, 'connection closed after "up" (L7) after '),
    ],
)
def test_a_server_that_is_not(line: bytes, reason: Reason, sentence: str) -> None:
    result = against(saying(line, close=True), AGENT)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)
    assert result.advice is None


def test_an_agent_can_be_told_something() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"up\n" if await reader.readline() == b"web\n" else b"down\n")
        await writer.drain()

    assert against(handle, AgentOptions(port=1, send="web\n")).healthy
    assert not against(handle, AgentOptions(port=1, send="x\n")).healthy


def test_an_agent_has_a_port_of_its_own() -> None:
    with pytest.raises(OptionError, match="has a port of its own") as error:
        AgentOptions()
    assert error.value.field == "port"
