"""The check `postgresql` against PostgreSQL, and against servers that misbehave."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from checkers.base import OptionError, Reason, Target
from checkers.postgresql import PostgresqlOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, certificate, probe, saying
from tests.prerequisites import missing, require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = PostgresqlOptions()
JOE = PostgresqlOptions(username="postgres", password="secret")
RULES = """
hostssl all clear 127.0.0.1/32 password
host all clear 127.0.0.1/32 password
host all old 127.0.0.1/32 md5
host all friend 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
USERS = """
CREATE ROLE clear LOGIN PASSWORD 'secret';
SET password_encryption = 'md5';
CREATE ROLE old LOGIN PASSWORD 'secret';
CREATE ROLE friend LOGIN;
"""


def programs() -> Path:
    """Debian keeps them out of the way, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        missing("the program postgres (package postgresql) is not installed")
    return found[-1].parent


@pytest.fixture(scope="module")
def postgresql(authority: trustme.CA) -> Iterator[Target]:
    require(root=True)
    directory_of = programs()
    port = servers.free_port()
    with packaged.open_directory("postgresql", "postgres") as directory:
        data, file = directory / "data", certificate(authority, directory, mode=0o600)
        shutil.chown(file, "postgres")
        (directory / "password").write_text("secret")
        as_them = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": directory}
        make = [str(directory_of / "initdb"), "-D", str(data), "-N", "-U", "postgres"]
        subprocess.run(
            [*make, "-A", "scram-sha-256", "--pwfile", str(directory / "password")],
            check=True,
            capture_output=True,
            timeout=60,
            env={**os.environ, "LC_ALL": "C"},
            **as_them,  # type: ignore[call-overload]
        )
        (data / "pg_hba.conf").write_text(RULES)
        single = [str(directory_of / "postgres"), "--single", "-j", "-D", str(data), "postgres"]
        for statement in ["".join(USERS.strip().splitlines(keepends=True))]:
            subprocess.run(
                single,
                input=statement.encode() + b"\n\n",
                check=True,
                capture_output=True,
                timeout=60,
                **as_them,  # type: ignore[call-overload]
            )
        arguments = [str(directory_of / "postgres"), "-D", str(data), "-p", str(port)]
        arguments += ["-k", str(directory), "-h", "127.0.0.1", "-c", "ssl=on"]
        arguments += ["-c", f"ssl_cert_file={file}", "-c", f"ssl_key_file={file}"]
        with packaged.running(arguments, directory, port, user="postgres") as target:
            for _ in range(100):  # it listens before it has started up, and says so
                if "57P03" not in probe(target, PLAIN).sentence:
                    break
            yield target


@pytest.mark.timeout(90)  # its data directory takes several seconds to make
def test_postgresql_accepts_connections(postgresql: Target, ca_file: str) -> None:
    assert probe(postgresql, PLAIN).sentence.startswith("accepts connections, answered in ")
    result = probe(postgresql, replace(JOE, role="primary"))
    assert result.sentence.startswith("logged in as postgres to version 1")
    assert "secret" not in "".join(result.transcript)
    secured = replace(JOE, tls="starttls", ca=ca_file)
    assert "TLS established" in "".join(probe(postgresql, secured).transcript)
    assert probe(postgresql, replace(secured, ca=None)).reason is Reason.TLS_CERTIFICATE


@pytest.mark.timeout(90)
def test_postgresql_lets_in_by_other_methods(postgresql: Target, ca_file: str) -> None:
    assert probe(postgresql, replace(JOE, username="old")).healthy
    assert probe(postgresql, PostgresqlOptions(username="friend")).healthy
    clear = replace(JOE, username="clear")
    assert "sent over TLS only" in probe(postgresql, clear).sentence
    assert probe(postgresql, replace(clear, tls="starttls", ca=ca_file)).healthy


@pytest.mark.timeout(90)
def test_postgresql_refuses(postgresql: Target) -> None:
    wrong = probe(postgresql, replace(JOE, password="x"))
    assert wrong.sentence.startswith('error 28P01 "password authentication failed for user ')
    without = probe(postgresql, replace(JOE, password=None))
    assert without.sentence.startswith("the server wants a password (L7) after ")
    database = probe(postgresql, replace(JOE, database="none"))
    assert database.sentence.startswith('error 3D000 "database ""'[:22])
    role = probe(postgresql, replace(JOE, role="replica"))
    assert role.sentence.startswith("the role is primary, expected replica (L7) after ")


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


STARTING = message(b"E", b"SFATAL\0C57P03\0Mthe database system is starting up\0\0")


@pytest.mark.parametrize(
    ("options", "turns", "reason", "sentence"),
    [
        (
            PLAIN,
            [b"", STARTING],
            Reason.L7_STATUS,
            'error 57P03 "the database system is starting up" (L7) after ',
        ),
        (
            PLAIN,
            [b"", message(b"E", b"C53300\0Mtoo many clients\0\0")],
            Reason.L7_STATUS,
            'error 53300 "too many clients" (L7) after ',
        ),
        (PLAIN, [b"", message(b"E", b"C28000\0Mno entry\0\0")], Reason.OK, "accepts connections"),
        (PLAIN, [b"", message(b"Z", b"I")], Reason.L7_PROTOCOL, '"ZI" is no answer to a login'),
        (
            JOE,
            [b"", message(b"S", b"a\0b\0") * 200],
            Reason.L7_PROTOCOL,
            "100 messages, and none says ready (L7) after ",
        ),
        (
            JOE,
            [b"", message(b"R", bytes((0, 0, 0, 7)))],
            Reason.L7_STATUS,
            "the server wants a login by method 7 (L7) after ",
        ),
        (
            JOE,
            [
                b"",
                message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
                message(b"R", b"\0\0\0\x0brubbish"),
            ],
            Reason.L7_PROTOCOL,
            "login failed: not a challenge of SCRAM (L7) after ",
        ),
        (
            replace(JOE, role="primary"),
            [b"", message(b"R", bytes(4)) + message(b"Z", b"I")],
            Reason.L7_CONTENT,
            "the server does not tell its role (before version 14) (L7) after ",
        ),
        (
            replace(JOE, role="primary"),
            [b"", message(b"S", b"in_hot_standby\0on\0") + message(b"Z", b"I")],
            Reason.L7_CONTENT,
            "the role is replica, expected primary (L7) after ",
        ),
        (replace(PLAIN, tls="starttls"), [b"", b"N"], Reason.TLS, "the server offers no TLS"),
        (
            replace(PLAIN, tls="starttls"),
            [b"", b"Sx"],
            Reason.L7_PROTOCOL,
            '"x" sent before the TLS began (L7) after ',
        ),
    ],
)
def test_answers_good_and_bad(
    options: PostgresqlOptions, turns: list[bytes], reason: Reason, sentence: str
) -> None:
    result = against(saying(*turns), options, 0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "x"}, "username"),
        ({"role": "primary"}, "username"),
        ({"tls": "implicit"}, "tls"),
        ({"database": "a\0b"}, "database"),
    ],
)
def test_options_that_cannot_work_name_their_field(change: dict[str, str], field: str) -> None:
    with pytest.raises(OptionError) as error:
        replace(PLAIN, **change)  # type: ignore[arg-type]
    assert error.value.field == field
