"""The check `ldap` against slapd, and against servers that misbehave."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
import trustme

from checkers.base import OptionError, Reason, Target
from checkers.ldap import LdapOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, certificate, probe, saying
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = LdapOptions()
BASE = "dc=example,dc=test"
ADMIN = LdapOptions(username=f"cn=admin,{BASE}", password="secret", base=BASE)
CONFIG = f"""
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {{directory}}/slapd.pid
TLSCertificateFile {{certificate}}
TLSCertificateKeyFile {{certificate}}
database mdb
maxsize 10485760
suffix "{BASE}"
rootdn "cn=admin,{BASE}"
rootpw secret
directory {{directory}}/data
"""
ENTRY = f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n"


@pytest.fixture(scope="module")
def slapd(authority: trustme.CA) -> Iterator[Target]:
    require("slapd", "slapadd", root=True)
    port = servers.free_port()
    with packaged.open_directory("slapd") as directory:
        (directory / "data").mkdir()
        file = certificate(authority, directory)
        config = directory / "slapd.conf"
        config.write_text(CONFIG.format(directory=directory, certificate=file))
        subprocess.run(
            ["slapadd", "-f", str(config)],
            input=ENTRY.encode(),
            check=True,
            capture_output=True,
            timeout=30,
        )
        arguments = ["slapd", "-d", "0", "-f", str(config), "-h", f"ldap://127.0.0.1:{port}/"]
        with packaged.running(arguments, directory, port) as target:
            yield target


def test_slapd_lets_us_in_and_has_the_entry(slapd: Target, ca_file: str) -> None:
    assert probe(slapd, PLAIN).sentence.startswith("bound in ")
    assert probe(slapd, replace(PLAIN, base=BASE)).sentence.startswith(f"bound, found {BASE} in ")
    result = probe(slapd, ADMIN)
    assert result.sentence.startswith(f"bound as cn=admin,{BASE}, found {BASE} in ")
    assert "secret" not in "".join(result.transcript)
    secured = probe(slapd, replace(ADMIN, tls="starttls", ca=ca_file))
    assert "TLS established" in "".join(secured.transcript)
    assert secured.healthy


def test_slapd_refuses(slapd: Target) -> None:
    wrong = probe(slapd, replace(ADMIN, password="x"))
    assert wrong.reason is Reason.L7_STATUS
    assert wrong.sentence.startswith("answer to bind invalid credentials (49) (L7) after ")
    gone = probe(slapd, replace(ADMIN, base=f"ou=none,{BASE}"))
    assert gone.sentence.startswith("answer to search no such object (32) (L7) after ")


def answer(number: int, tag: int, code: int, text: bytes = b"") -> bytes:
    body = b"\x0a\x01" + bytes((code,)) + b"\x04\0\x04" + bytes((len(text),)) + text
    operation = bytes((tag, len(body))) + body
    return bytes((0x30, len(operation) + 3, 2, 1, number)) + operation


@pytest.mark.parametrize(
    ("options", "turns", "reason", "sentence"),
    [
        (PLAIN, [b"", answer(2, 0x61, 0)], Reason.OK, "bound in "),
        (
            PLAIN,
            [b"", answer(2, 0x61, 51, b"later")],
            Reason.L7_STATUS,
            'answer to bind busy (51): "later" (L7) after ',
        ),
        (
            PLAIN,
            [b"", answer(0, 0x78, 52)],
            Reason.L7_STATUS,
            "answer to bind unavailable (52) (L7) after ",
        ),
        (PLAIN, [b"", answer(9, 0x61, 0)], Reason.L7_TIMEOUT, "no answer to bind (L7) after "),
        (PLAIN, [b"", answer(9, 0x61, 0) * 99], Reason.L7_PROTOCOL, "that is no answer to bind"),
        (PLAIN, [b"", answer(2, 0x65, 0)], Reason.L7_PROTOCOL, "that is no answer to bind"),
        (PLAIN, [b"", b"\x30\x84\xff\xff\xff\xff"], Reason.L7_PROTOCOL, '"0'),
        (PLAIN, [b"", b"\x30\x80"], Reason.L7_PROTOCOL, '"0'),
        (PLAIN, [b"", b"\x30\x03\x02\x05\x01"], Reason.L7_PROTOCOL, "the answer to bind is cut"),
        (PLAIN, [b"", b"\x30\x05\x02\x01"], Reason.L7_TIMEOUT, "answer to bind not complete ("),
        (
            replace(PLAIN, base=BASE),
            [b"", answer(2, 0x61, 0), answer(3, 0x65, 0)],
            Reason.L7_CONTENT,
            f"no entry {BASE} (L7) after ",
        ),
        (
            LdapOptions(tls="starttls"),
            [b"", answer(1, 0x78, 2, b"unsupported")],
            Reason.L7_STATUS,
            'answer to StartTLS refused (2): "unsupported" (L7) after ',
        ),
    ],
)
def test_answers_good_and_bad(
    options: LdapOptions, turns: list[bytes], reason: Reason, sentence: str
) -> None:
    result = against(saying(*turns), options, 0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_half_a_login_is_refused() -> None:
    with pytest.raises(OptionError, match="go together"):
        LdapOptions(username="cn=x")


def test_long_names_are_encoded_too() -> None:
    options = replace(ADMIN, username="cn=" + "x" * 1000)
    assert against(saying(b"", answer(2, 0x61, 49)), options).reason is Reason.L7_STATUS
