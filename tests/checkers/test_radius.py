"""The check `radius` against FreeRADIUS, and against servers that misbehave."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from checkers.base import OptionError, Reason, Target
from checkers.radius import RadiusOptions, hide
from tests.checkers import packaged, servers
from tests.checkers.datagrams import Answering, against, silent
from tests.checkers.dialogues import probe
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

STATUS = RadiusOptions(secret="testing123")
JOE = replace(STATUS, username="joe", password="a password of more than 16 bytes")
CONFIG = """
raddbdir = {directory}
logdir = {directory}
run_dir = {directory}
libdir = /usr/lib/freeradius
pidfile = {directory}/radiusd.pid
security {{
    status_server = yes
}}
thread pool {{
    start_servers = 1
    max_servers = 2
    min_spare_servers = 1
    max_spare_servers = 2
}}
client director {{
    ipaddr = 127.0.0.1
    secret = testing123
}}
modules {{
    pap {{
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
    authorize {{
        if (&User-Name == "joe") {{
            update control {{
                &Cleartext-Password := "a password of more than 16 bytes"
            }}
            pap
        }}
    }}
    authenticate {{
        Auth-Type PAP {{
            pap
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def freeradius() -> Iterator[Target]:
    require("freeradius", root=True)
    port = servers.free_port()
    with packaged.open_directory("freeradius") as directory:
        config = CONFIG.format(directory=directory, port=port)
        (directory / "radiusd.conf").write_text(config)
        arguments = ["freeradius", "-f", "-l", "stdout", "-d", str(directory), "-n", "radiusd"]
        with packaged.running(arguments, directory, port, datagram=True) as target:
            yield target


def test_freeradius_answers(freeradius: Target) -> None:
    assert probe(freeradius, STATUS).sentence.startswith("answered in ")
    assert probe(freeradius, JOE).sentence.startswith("accepted joe in ")


def test_freeradius_refuses(freeradius: Target) -> None:
    rejected = probe(freeradius, replace(JOE, password="x"))
    assert rejected.reason is Reason.L7_STATUS
    assert rejected.sentence.startswith("rejected (L7) after ")
    other = probe(freeradius, replace(STATUS, secret="not-it"), 0.3)
    assert other.reason is Reason.L7_TIMEOUT


def answer(
    request: bytes, code: int, attributes: bytes = b"", secret: bytes = b"testing123"
) -> bytes:
    head = bytes((code, request[1])) + (20 + len(attributes)).to_bytes(2)
    return head + hashlib.md5(head + request[4:20] + attributes + secret).digest() + attributes


def answering(code: int, attributes: bytes = b"", secret: bytes = b"testing123") -> Answering:
    def make(request: bytes) -> Sequence[bytes]:
        return [answer(request, code, attributes, secret)]

    return make


def stale_first(request: bytes) -> Sequence[bytes]:
    stale = answer(request, 3)
    return [stale[:1] + bytes((stale[1] ^ 1,)) + stale[2:], answer(request, 2)]


@pytest.mark.parametrize(
    ("options", "server", "reason", "sentence"),
    [
        (STATUS, answering(5), Reason.OK, "answered in "),
        (STATUS, stale_first, Reason.OK, "answered in "),
        (JOE, answering(5), Reason.L7_STATUS, "answered with code 5 (L7) after "),
        (JOE, answering(11), Reason.L7_STATUS, "answered with a challenge (L7) after "),
        (
            JOE,
            answering(3, b"\x06\x06abcd\x12\x07later"),
            Reason.L7_STATUS,
            'rejected: "later" (L7) after ',
        ),
        (JOE, answering(3, b"\x06\x00abcd"), Reason.L7_STATUS, "rejected (L7) after "),
        (
            STATUS,
            answering(2, secret=b"other"),
            Reason.L7_PROTOCOL,
            "the answer is signed with another secret (L7) after ",
        ),
        (STATUS, lambda _: [b"x"], Reason.L7_PROTOCOL, '"x" is no answer of RADIUS (L7) after '),
        (STATUS, lambda _: [b"\2\0\xff\xff" + bytes(20)], Reason.L7_PROTOCOL, '"\\x02'),
        (STATUS, silent, Reason.L7_TIMEOUT, "no answer (L7) after "),
    ],
)
def test_answers_good_and_bad(
    options: RadiusOptions, server: Answering, reason: Reason, sentence: str
) -> None:
    result = against(server, options, 0.3)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)
    assert "testing123" not in "".join(result.transcript)


def test_nobody_listens() -> None:
    target = Target(servers.LOOPBACK, servers.free_port())
    assert probe(target, STATUS).reason is Reason.L4_REFUSED


def test_a_password_is_hidden_in_blocks() -> None:
    assert hide(b"", b"s", bytes(16)) == b""
    assert len(hide(b"x" * 17, b"s", bytes(16))) == 32
    once = hide(b"x" * 16, b"s", bytes(16))
    assert hide(once, b"s", bytes(16)) == b"x" * 16


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"secret": None}, "secret", "is missing"),
        ({"username": "x"}, "password", "go together"),
        ({"username": "x" * 300, "password": "x"}, "username", "longer than RADIUS can carry"),
        ({"username": "x", "password": "x" * 129}, "password", "longer than RADIUS can carry"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, str | None], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(STATUS, **change)  # type: ignore[arg-type]
    assert error.value.field == field
