"""The check `ftp` against vsftpd, and against servers that misbehave."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trustme

from checkers.base import OptionError, Reason, Target
from checkers.ftp import FtpOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, certificate, probe, saying
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = FtpOptions()
ANONYMOUS = FtpOptions(username="anonymous", password="guest")
CONFIG = """
listen=YES
background=NO
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
local_enable=NO
anon_root={directory}/empty
secure_chroot_dir={directory}/empty
ftp_username=daemon
nopriv_user=nobody
seccomp_sandbox=NO
ssl_enable=YES
allow_anon_ssl=YES
force_local_logins_ssl=NO
rsa_cert_file={certificate}
xferlog_enable=NO
"""


@pytest.fixture(scope="module")
def vsftpd(authority: trustme.CA) -> Iterator[Target]:
    require("vsftpd", root=True)
    port = servers.free_port()
    with packaged.open_directory("vsftpd") as directory:
        (directory / "empty").mkdir(mode=0o755)
        file = certificate(authority, directory)
        config = directory / "vsftpd.conf"
        config.write_text(CONFIG.format(directory=directory, certificate=file, port=port).lstrip())
        with packaged.running(["vsftpd", str(config)], directory, port) as target:
            yield target


def test_vsftpd_greets_and_lets_anybody_in(vsftpd: Target, ca_file: str) -> None:
    assert probe(vsftpd, PLAIN).sentence.startswith("greeted in ")
    result = probe(vsftpd, ANONYMOUS)
    assert result.sentence.startswith("logged in as anonymous in ")
    assert "guest" not in "".join(result.transcript)
    secured = probe(vsftpd, replace(ANONYMOUS, tls="starttls", ca=ca_file))
    assert secured.sentence.startswith("logged in as anonymous in ")
    assert "TLS established" in "".join(secured.transcript)


def test_vsftpd_lets_nobody_else_in(vsftpd: Target) -> None:
    result = probe(vsftpd, FtpOptions(username="root", password="x"))
    assert result.reason is Reason.L7_STATUS
    assert result.sentence.startswith('answer to USER "530 ')


@pytest.mark.parametrize(
    ("turns", "healthy", "sentence"),
    [
        ([b"220-hi\r\n free text\r\n2209\r\n220 b\r\n"], True, "greeted in "),
        ([b"421 full\r\n"], False, 'greeting "421 full", expected 220 (L7) after '),
        ([b"220\r\n"], True, "greeted in "),
        ([b"22\r\n"], False, '"22" is no greeting (L7) after '),
    ],
)
def test_replies_of_one_and_of_several_lines(
    turns: list[bytes], healthy: bool, sentence: str
) -> None:
    result = against(saying(*turns), PLAIN)
    assert (result.healthy, result.sentence[: len(sentence)]) == (healthy, sentence)


def test_a_name_alone_may_do_and_half_a_login_is_refused() -> None:
    assert against(saying(b"220 a\r\n", b"230 in\r\n"), ANONYMOUS).healthy
    with pytest.raises(OptionError, match="go together"):
        FtpOptions(password="x")
