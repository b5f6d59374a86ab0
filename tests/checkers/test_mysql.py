"""The check `mysql` against MariaDB, and against servers that misbehave."""

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from checkers.base import OptionError, Reason, Target
from checkers.mysql import MysqlOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, certificate, probe, saying
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = MysqlOptions()
JOE = MysqlOptions(username="joe", password="secret")
USERS = """
CREATE USER joe@'%' IDENTIFIED BY 'secret';
CREATE USER open@'%';
SET GLOBAL max_connect_errors = 100000;
"""


TABLES = ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")


def make_tables(data: Path) -> None:
    """What mariadb-install-db does, without the client programs that it wants."""
    data.mkdir()
    files = [Path(f"/usr/share/mysql/{name}.sql").read_text() for name in TABLES]
    statements = ["CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n", *files]
    arguments = ["mariadbd", "--no-defaults", "--bootstrap", "--user=root", f"--datadir={data}"]
    subprocess.run(
        [*arguments, "--innodb-buffer-pool-size=8M"],
        input="".join(statements).encode(),
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def mariadb(authority: trustme.CA) -> Iterator[Target]:
    require("mariadbd", root=True)
    port = servers.free_port()
    with packaged.open_directory("mariadb") as directory:
        data = directory / "data"
        make_tables(data)
        file = certificate(authority, directory)
        (directory / "users.sql").write_text(USERS)
        arguments = [
            *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--port={port}"),
            *("--bind-address=127.0.0.1", f"--socket={directory}/socket", "--skip-name-resolve"),
            *(f"--init-file={directory}/users.sql", f"--pid-file={directory}/pid"),
            *(f"--ssl-cert={file}", f"--ssl-key={file}", "--innodb-buffer-pool-size=8M"),
        ]
        with packaged.running(arguments, directory, port) as target:
            yield target


@pytest.mark.timeout(90)  # its data directory takes several seconds to make
def test_mariadb_greets_and_lets_in_who_is_known(mariadb: Target, ca_file: str) -> None:
    assert probe(mariadb, PLAIN).sentence.startswith("greeted by version ")
    result = probe(mariadb, JOE)
    assert result.sentence.startswith("logged in as joe to version ")
    assert "secret" not in "".join(result.transcript)
    assert probe(mariadb, MysqlOptions(username="open")).healthy
    secured = probe(mariadb, replace(JOE, tls="starttls", ca=ca_file, days_left=1))
    assert secured.sentence.startswith("logged in as joe to version ")
    assert "TLS established" in "".join(secured.transcript)
    assert probe(mariadb, replace(PLAIN, tls="starttls")).reason is Reason.TLS_CERTIFICATE


@pytest.mark.timeout(90)
def test_mariadb_lets_nobody_else_in(mariadb: Target) -> None:
    for options in (replace(JOE, password="x"), MysqlOptions(username="joe")):
        result = probe(mariadb, options)
        assert result.reason is Reason.L7_STATUS
        assert result.sentence.startswith("error 1045 \"Access denied for user 'joe'@'127.0.0.1'")


def packet(payload: bytes, sequence: int = 0) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((sequence,)) + payload


NONCE = bytes(range(1, 21))


def greeting(plugin: bytes = b"caching_sha2_password") -> bytes:
    head = b"\x0a8.0.1\0" + bytes(4) + NONCE[:8] + b"\0\xff\xff\x21\2\0\xff\xff\x15" + bytes(10)
    return packet(head + NONCE[8:] + b"\0" + plugin + b"\0")


@pytest.mark.parametrize(
    ("turns", "reason", "sentence"),
    [
        (
            [packet(b"\xff\x10\x04#08004Too many connections")],
            Reason.L7_STATUS,
            'error 1040 "Too many connections" (L7) after ',
        ),
        ([packet(b"\xff\x10\x04Blocked")], Reason.L7_STATUS, 'error 1040 "Blocked" (L7) after '),
        ([packet(b"\x09old\0" + bytes(40))], Reason.L7_PROTOCOL, '"\\t'),
        ([packet(b"\x0a8.0")], Reason.L7_PROTOCOL, '"\\n8.0" is no greeting of version 10'),
        ([packet(b"\x0a8")[:5]], Reason.L7_TIMEOUT, "greeting not complete ("),
        ([greeting(), packet(b"\0ok", 2)], Reason.OK, "logged in as joe to version 8.0.1 in "),
        (
            [greeting(), packet(b"\1\3", 2) + packet(b"\0", 3)],
            Reason.OK,
            "logged in as joe to version 8.0.1 in ",
        ),
        (
            [greeting(), packet(b"\1\4", 2)],
            Reason.L7_STATUS,
            "the server wants the password itself, which is sent over TLS only (L7) after ",
        ),
        (
            [greeting(), packet(b"\xfeclient_ed25519\0" + bytes(32), 2)],
            Reason.L7_STATUS,
            'the server wants a login by "client_ed25519", not known here (L7) after ',
        ),
        (
            [greeting(), packet(b"\xfemysql_native_password\0" + NONCE + b"\0", 2), packet(b"\0")],
            Reason.OK,
            "logged in as joe to version 8.0.1 in ",
        ),
        ([greeting(), packet(b"?", 2)], Reason.L7_PROTOCOL, "the answer to the login cannot be"),
        ([greeting(), packet(b"\1\3", 2) * 9], Reason.L7_PROTOCOL, "the answer to the login"),
    ],
)
def test_answers_good_and_bad(turns: list[bytes], reason: Reason, sentence: str) -> None:
    result = against(saying(*turns), JOE, 0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_the_proof_of_a_password_is_the_one_that_servers_expect() -> None:
    from checkers.mysql import _NATIVE, _SHA2, _proof

    once = hashlib.sha256(b"secret").digest()
    stored = hashlib.sha256(once).digest()  # what the server keeps
    mask = hashlib.sha256(stored + NONCE).digest()
    proof = _proof(_SHA2, b"secret", NONCE)
    shown = bytes(one ^ other for one, other in zip(proof, mask, strict=True))
    assert hashlib.sha256(shown).digest() == stored
    assert len(_proof(_NATIVE, b"secret", NONCE)) == 20
    assert _proof(_NATIVE, b"", NONCE) == b""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "x"}, "username"),
        ({"tls": "implicit"}, "tls"),
        ({"username": "a\0b"}, "username"),
    ],
)
def test_options_that_cannot_work_name_their_field(change: dict[str, str], field: str) -> None:
    with pytest.raises(OptionError) as error:
        replace(PLAIN, **change)  # type: ignore[arg-type]
    assert error.value.field == field
