"""The check `pop3` against Dovecot, and against servers that misbehave."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trustme

from checkers.base import OptionError, Reason
from checkers.pop3 import Pop3Options
from tests.checkers.dialogues import against, probe, saying
from tests.checkers.dovecot import Ports, dovecot
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = Pop3Options()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[Ports]:
    require("dovecot", root=True)
    with dovecot(authority) as ports:
        yield ports


def test_dovecot_greets_on_both_ports(server: Ports, ca_file: str) -> None:
    assert probe(server.pop3, PLAIN).sentence.startswith("greeted in ")
    for target, mode in ((server.pop3, "starttls"), (server.pop3s, "implicit")):
        result = probe(target, Pop3Options(tls=mode, ca=ca_file))  # type: ignore[arg-type]
        assert result.sentence.startswith("greeted in ")
        assert "TLS established: TLSv1.3" in "".join(result.transcript)


def test_a_login_is_tried_and_never_shown(server: Ports) -> None:
    options = Pop3Options(username="joe", password="secret")
    result = probe(server.pop3, options)
    assert result.sentence.startswith("logged in as joe in ")
    wrong = probe(server.pop3, replace(options, password="not-it"))
    assert wrong.reason is Reason.L7_STATUS
    assert wrong.sentence.startswith('answer to PASS "-ERR [AUTH] ')
    assert "not-it" not in "".join((*result.transcript, *wrong.transcript))


def test_an_error_fails() -> None:
    result = against(saying(b"-ERR [SYS/TEMP] later\r\n"), PLAIN)
    assert result.reason is Reason.L7_STATUS
    assert result.sentence.startswith('greeting "-ERR [SYS/TEMP] later" (L7) after ')


def test_half_a_login_is_refused() -> None:
    with pytest.raises(OptionError, match="go together"):
        Pop3Options(username="joe")
