"""The check `imap` against Dovecot, and against servers that misbehave."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trustme

from checkers.base import OptionError, Reason
from checkers.imap import ImapOptions
from tests.checkers.dialogues import against, probe, saying
from tests.checkers.dovecot import Ports, dovecot
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = ImapOptions()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[Ports]:
    require("dovecot", root=True)
    with dovecot(authority) as ports:
        yield ports


def test_dovecot_answers_on_both_ports(server: Ports, ca_file: str) -> None:
    assert probe(server.imap, PLAIN).sentence.startswith("answered NOOP in ")
    for target, mode in ((server.imap, "starttls"), (server.imaps, "implicit")):
        result = probe(target, ImapOptions(tls=mode, ca=ca_file))  # type: ignore[arg-type]
        assert result.sentence.startswith("answered NOOP in ")
        assert "TLS established: TLSv1.3" in "".join(result.transcript)


def test_a_login_is_tried_and_never_shown(server: Ports) -> None:
    options = ImapOptions(username='jo "e', password="secret")
    result = probe(server.imap, options)
    assert result.sentence.startswith('logged in as jo "e in ')
    wrong = probe(server.imap, replace(options, password="not-it"))
    assert wrong.reason is Reason.L7_STATUS
    assert wrong.sentence.startswith('answer to LOGIN "a2 NO [AUTHENTICATIONFAILED]')
    assert "not-it" not in "".join((*result.transcript, *wrong.transcript))


@pytest.mark.parametrize(
    ("turns", "reason", "sentence"),
    [
        ([b"* BYE full\r\n"], Reason.L7_STATUS, 'greeting "* BYE full" (L7) after '),
        (
            [b"* OK\r\n", b"* 1 EXISTS\r\n* BYE gone\r\n"],
            Reason.L7_STATUS,
            'answer to NOOP "* BYE gone" (L7) after ',
        ),
        ([b"* OK\r\n", b"a3 BAD\r\n"], Reason.L7_STATUS, 'answer to NOOP "a3 BAD" (L7) after '),
        ([b"* OK\r\n", b"b1 OK\r\n"], Reason.L7_PROTOCOL, '"b1 OK" is no answer to NOOP (L7)'),
        ([b"* OK\r\n", b"a3 "], Reason.L7_TIMEOUT, 'answer to NOOP not complete ("a3 " so far)'),
    ],
)
def test_other_answers_fail(turns: list[bytes], reason: Reason, sentence: str) -> None:
    result = against(saying(*turns), PLAIN, 0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_a_server_that_knows_us_already_passes() -> None:
    assert against(saying(b"* PREAUTH\r\n", b"* 1 EXISTS\r\na3 ok\r\n"), PLAIN).healthy


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "x"}, "password"),
        ({"password": "x"}, "username"),
        ({"username": "a\r\nb", "password": "x"}, "username"),
        ({"verify": True, "ca": "/ca.pem"}, "ca"),
    ],
)
def test_options_that_cannot_work_name_their_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(OptionError) as error:
        replace(PLAIN, **change)  # type: ignore[arg-type]
    assert error.value.field == field
