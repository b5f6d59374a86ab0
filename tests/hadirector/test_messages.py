"""The lines between supervisor and director: round trip and refusal."""

import pytest

from hadirector import messages
from hadirector.messages import (
    Adopted,
    Configure,
    FromVrrp,
    Heartbeat,
    Message,
    MessageError,
    Note,
    Processes,
    Quorums,
    Ready,
    Reload,
    Stop,
)  # fmt: skip


@pytest.mark.parametrize(
    "message",
    [
        Configure(
            config='{"a": 1}',
            vrrp='{"type": "Configure"}',
            file="/etc/pair.yaml",
            node="lb1",
            runtime_dir="/run/hadirector",
            state_dir="/var/lib/hadirector",
        ),
        FromVrrp('{"type": "Heartbeat"}'),
        Note("process", "the director died: signal 9", 1.5),
        Processes({"vrrp": {"pid": 12, "restarts": 0, "since": 1.5}}),
        Reload("SIGHUP"),
        Stop("SIGTERM"),
        Heartbeat(),
        Ready("table matches"),
        Quorums({"web": True, "mail": False}),
        Adopted('{"a": "\\n"}', '{"type": "Configure"}', True),
    ],
)
def test_every_message_is_one_line_and_comes_back(message: Message) -> None:
    line = messages.encode(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert messages.decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b'{"type": "Bomb"}',
        b'{"type": "Stop"}',
        b'{"type": "Stop", "x": 1}',
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError):
        messages.decode(line)
