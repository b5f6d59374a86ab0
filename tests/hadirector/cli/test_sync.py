"""`sync watch` and `sync status` where they cannot listen: what is said, and exit codes.

What they hear is tested on a real kernel (tests/kernel/test_sync_traffic.py).
"""

from __future__ import annotations

import pytest

from hadirector.cli import sync_status, sync_watch
from hadirector.cli.main import main
from hadirector.ipvs.control import Daemons, SyncDaemon, SyncRole
from hadirector.ipvs.synctally import Coverage

DAEMON = SyncDaemon(role=SyncRole.BACKUP, interface="eth1", sync_id=51)
RECEIVES: Daemons = {SyncRole.BACKUP: DAEMON}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "0"], "'0' is no number from 1 to 65535"),
        (["--id", "300"], "'300' is no number from 0 to 255"),
        (["--seconds", "never"], "'never' is no number of seconds above 0"),
        (["--group", "192.0.2.1"], "192.0.2.1 is no multicast group"),
        (["--group", "all"], "'all' does not appear to be an IPv4 or IPv6 address"),
    ],
)
def test_what_cannot_be_listened_to_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    try:
        status = main(["sync", "watch", "lo", *words])
    except SystemExit as error:  # argparse
        status = int(error.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("word", ["watch", "status"])
def test_a_kernel_that_cannot_be_asked_is_not_called_one_without_a_daemon(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    def unknown() -> tuple[Daemons, str]:
        return {}, "the kernel refuses us"

    for module in (sync_status, sync_watch):
        monkeypatch.setattr(module, "running_daemons", unknown)
    assert main(["sync", word]) in (2, 3)
    said = capsys.readouterr().err
    assert "the kernel refuses us" in said
    assert "no sync daemon" not in said


@pytest.mark.parametrize(("known", "is_said"), [(200, False), (190, False), (189, True)])
def test_a_receiver_that_holds_too_little_of_what_it_heard_is_a_fault(
    known: int, is_said: bool
) -> None:
    faults = sync_status._thin(RECEIVES, Coverage(of=200, known=known))
    assert bool(faults) == is_said
    assert not sync_status._thin(RECEIVES, Coverage(of=0, known=0))
    assert not sync_status._thin({}, Coverage(of=200, known=known))


def test_of_too_many_connections_it_says_that_their_lag_was_not_looked_at() -> None:
    assert sync_status._lag_as_json(None) is None
    sentence = sync_status._lag_sentence(None)
    assert sentence.startswith("there are more than 50000 connections: ")
    assert "no connection began" not in sentence
