"""The check `ntp` against chrony, and against servers that misbehave."""

from collections.abc import Iterator, Sequence

import pytest

from checkers.base import Reason, Target
from checkers.ntp import NtpOptions
from tests.checkers import packaged, servers
from tests.checkers.datagrams import Answering, against, silent
from tests.checkers.dialogues import probe
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

CONFIG = """
port {port}
bindaddress 127.0.0.1
allow 127.0.0.1
local stratum 3
cmdport 0
bindcmdaddress /
pidfile {directory}/chronyd.pid
"""


@pytest.fixture(scope="module")
def chrony() -> Iterator[Target]:
    require("chronyd", root=True)
    port = servers.free_port()
    with packaged.open_directory("chrony") as directory:
        config = directory / "chrony.conf"
        config.write_text(CONFIG.format(directory=directory, port=port))
        arguments = ["chronyd", "-d", "-x", "-u", "root", "-f", str(config)]
        with packaged.running(arguments, directory, port, datagram=True) as target:
            yield target


def test_chrony_is_synchronized(chrony: Target) -> None:
    result = probe(chrony, NtpOptions(stratum_max=3))
    assert result.sentence.startswith("synchronized, stratum 3, answered in ")
    far = probe(chrony, NtpOptions(stratum_max=2))
    assert far.sentence.startswith("stratum 3, expected 2 at most (L7) after ")


def answer(question: bytes, *, leap: int = 0, stratum: int = 1, code: bytes = b"GPS\0") -> bytes:
    head = bytes((leap << 6 | 0x24, stratum, 0, 0))
    return head + bytes(8) + code + bytes(8) + question[40:48] + bytes(16)


def answering(**fields: object) -> Answering:
    def make(question: bytes) -> Sequence[bytes]:
        return [answer(question, **fields)]  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("server", "reason", "sentence"),
    [
        (answering(), Reason.OK, "synchronized, stratum 1, answered in "),
        (answering(leap=3), Reason.L7_STATUS, "not synchronized (stratum 1) (L7) after "),
        (answering(stratum=16), Reason.L7_STATUS, "not synchronized (stratum 16) (L7) after "),
        (
            answering(stratum=0, code=b"RATE"),
            Reason.L7_STATUS,
            'refused: kiss of death "RATE" (L7) after ',
        ),
        (lambda question: [question], Reason.L7_PROTOCOL, '"#'),
        (lambda question: [b"x"], Reason.L7_PROTOCOL, '"x" is no answer of NTP (L7) after '),
        (lambda _: [answer(bytes(48))], Reason.L7_TIMEOUT, "no answer (L7) after "),
        (
            lambda question: [answer(bytes(48)), answer(question)],
            Reason.OK,
            "synchronized, stratum 1, answered in ",
        ),
        (silent, Reason.L7_TIMEOUT, "no answer (L7) after "),
    ],
)
def test_answers_good_and_bad(server: Answering, reason: Reason, sentence: str) -> None:
    result = against(server, NtpOptions(), 0.3)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_nobody_listens() -> None:
    target = Target(servers.LOOPBACK, servers.free_port())
    assert probe(target, NtpOptions()).reason is Reason.L4_REFUSED
