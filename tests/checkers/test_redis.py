"""The check `redis` against Redis, primary and replica, and against servers that misbehave."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from checkers.base import OptionError, Reason, Target
from checkers.redis import RedisOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, probe, saying
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = RedisOptions()
QUIET = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")


@pytest.fixture(scope="module")
def primary() -> Iterator[Target]:
    require("redis-server")
    port = servers.free_port()
    with packaged.open_directory("redis") as directory:
        arguments = ["redis-server", "--port", str(port), "--dir", str(directory), *QUIET]
        with packaged.running(arguments, directory, port) as target:
            yield target


@pytest.fixture(scope="module")
def replica(primary: Target) -> Iterator[Target]:
    """With a password, too."""
    port = servers.free_port()
    with packaged.open_directory("redis") as directory:
        arguments = ["redis-server", "--port", str(port), "--dir", str(directory), *QUIET]
        arguments += ["--replicaof", "127.0.0.1", str(primary.port), "--requirepass", "secret"]
        with packaged.running(arguments, directory, port) as target:
            yield target


def test_redis_answers_and_has_its_role(primary: Target, replica: Target) -> None:
    assert probe(primary, PLAIN).sentence.startswith("answered PONG in ")
    assert probe(primary, RedisOptions(role="primary")).healthy
    wrong = probe(primary, RedisOptions(role="replica"))
    assert wrong.reason is Reason.L7_CONTENT
    assert wrong.sentence.startswith("the role is primary, expected replica (L7) after ")
    right = probe(replica, RedisOptions(role="replica", password="secret"))
    assert right.sentence.startswith("answered PONG as replica in ")


def test_a_password_is_wanted_and_never_shown(replica: Target) -> None:
    without = probe(replica, PLAIN)
    assert without.reason is Reason.L7_STATUS
    assert without.sentence.startswith('answer to PING "-NOAUTH Authentication required')
    wrong = probe(replica, RedisOptions(password="not-it"))
    assert wrong.sentence.startswith('answer to AUTH "-WRONGPASS ')
    named = probe(replica, RedisOptions(username="default", password="secret"))
    assert named.healthy
    assert "secret" not in "".join((*named.transcript, *wrong.transcript))


@pytest.mark.parametrize(
    ("turns", "reason", "sentence"),
    [
        (
            [b"", b"-LOADING Redis is loading\r\n"],
            Reason.L7_STATUS,
            'answer to PING "-LOADING Redis is loading" (L7) after ',
        ),
        (
            [b"", b"+PONG\r\n", b"+x\r\n"],
            Reason.L7_PROTOCOL,
            '"+x" is no answer to ROLE (L7) after ',
        ),
        (
            [b"", b"+PONG\r\n", b"*1\r\n$9999\r\nx"],
            Reason.L7_TIMEOUT,
            'answer to ROLE not complete ("x" so far) (L7) after ',
        ),
        (
            [b"", b"+PONG\r\n", b"*1\r\n$99999\r\n"],
            Reason.L7_PROTOCOL,
            '"*1" is no answer to ROLE (L7) after ',
        ),
        (
            [b"", b"+PONG\r\n", b"*1\r\n$8\r\nsentinel\r\n"],
            Reason.L7_CONTENT,
            "the role is sentinel, expected primary (L7) after ",
        ),
    ],
)
def test_other_answers_fail(turns: list[bytes], reason: Reason, sentence: str) -> None:
    result = against(saying(*turns), RedisOptions(role="primary"), 0.4)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"username": "x"}, "password", "of no use without it"),
        ({"tls": "starttls"}, "tls", "no TLS of that sort: write `none` or `implicit`"),
        ({"ca": "/ca.pem"}, "ca", "of no use without `tls`"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(PLAIN, **change)  # type: ignore[arg-type]
    assert error.value.field == field
