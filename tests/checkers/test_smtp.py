"""The check `smtp` against Exim, and against servers that misbehave."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trustme

from checkers.base import OptionError, Reason, Target
from checkers.smtp import SmtpOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, certificate, probe, saying
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = SmtpOptions()
CONFIG = """
primary_hostname = mx.example.test
spool_directory = {directory}/spool
log_file_path = {directory}/log-%slog
pid_file_path = {directory}/exim.pid
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {certificate}
smtp_accept_max = 20
host_lookup =
keep_environment =
"""


@pytest.fixture(scope="module")
def exim(authority: trustme.CA) -> Iterator[Target]:
    require("exim4", root=True)
    port = servers.free_port()
    with packaged.open_directory("exim", "Debian-exim") as directory:
        file = certificate(authority, directory)
        config = directory / "exim.conf"
        config.write_text(CONFIG.format(directory=directory, certificate=file))
        arguments = ["exim4", "-bdf", "-C", str(config), "-oX", str(port)]
        with packaged.running(arguments, directory, port) as target:
            yield target


def test_exim_is_ready(exim: Target) -> None:
    result = probe(exim, PLAIN)
    assert result.sentence.startswith("ready for mail in ")
    said = "".join(result.transcript)
    assert '< "220 mx.example.test ESMTP Exim' in said
    assert '> "QUIT' in said


def test_exim_is_ready_over_tls(exim: Target, ca_file: str) -> None:
    secured = SmtpOptions(tls="starttls", ca=ca_file, days_left=1)
    result = probe(exim, secured)
    assert result.sentence.startswith("ready for mail in ")
    assert "TLS established: TLSv1.3" in "".join(result.transcript)
    assert probe(exim, replace(secured, ca=None, days_left=None)).reason is Reason.TLS_CERTIFICATE
    wrong_name = probe(exim, replace(secured, server_name="other.example.test"))
    assert wrong_name.sentence.startswith("certificate refused: Hostname mismatch")


@pytest.mark.parametrize(
    ("turns", "options", "reason", "sentence"),
    [
        (
            [b"421 too busy\r\n"],
            PLAIN,
            Reason.L7_STATUS,
            'greeting "421 too busy", expected 220 (L7) after ',
        ),
        (
            [b"220-a\r\n220 b\r\n", b"502 what?\r\n"],
            PLAIN,
            Reason.L7_STATUS,
            'answer to EHLO "502 what?", expected 250 (L7) after ',
        ),
        (
            [b"220 a\r\n", b"250-b\r\n250-SIZE 1\r\n"],
            PLAIN,
            Reason.L7_TIMEOUT,
            "no answer to EHLO (L7) after ",
        ),
        (
            [b"220 a\r\n", b"250 b\r\n", b"454 no TLS now\r\n"],
            SmtpOptions(tls="starttls"),
            Reason.L7_STATUS,
            'answer to STARTTLS "454 no TLS now", expected 220 (L7) after ',
        ),
        (
            [b"220 a\r\n", b"250 b\r\n", b"220 go\r\n250 injected\r\n"],
            SmtpOptions(tls="starttls"),
            Reason.L7_PROTOCOL,
            '"250 injected\\r\\n" sent before the TLS began (L7) after ',
        ),
        (
            [b"220 a\r\n", b"250 b\r\n", b"220 go\r\n", b"garbage, no TLS"],
            SmtpOptions(tls="starttls"),
            Reason.TLS,
            "TLS failed: ",
        ),
        ([b"220 a\r\n"], SmtpOptions(tls="implicit"), Reason.TLS, "TLS failed: "),
    ],
)
def test_other_answers_fail(
    turns: list[bytes], options: SmtpOptions, reason: Reason, sentence: str
) -> None:
    result = against(saying(*turns), options, 0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"hello": "a\r\nRCPT"}, "hello", "is no name of a host"),
        ({"ca": "/ca.pem"}, "ca", "of no use without `tls`"),
        ({"days_left": 3}, "days_left", "of no use without `tls`"),
        ({"tls": "implicit", "key": "/k"}, "key", "of no use without a `certificate`"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(PLAIN, **change)  # type: ignore[arg-type]
    assert error.value.field == field
