"""No error prints a password, wherever the mistake is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.config.diagnostics import render
from hadirector.config.loader import load
from hadirector.config.secrets import is_secret, masked

SECRET = "hunter2-and-more"
FILE = """\
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}, lb2: {{address: 192.0.2.12, priority: 253}}}}
virtual_routers: []
services:
  - name: web
    listen: tcp://192.0.2.100:143
    forward: nat
    servers: [198.51.100.21:143]
    check: {check}
"""


@pytest.mark.parametrize(
    "check",
    [
        f"{{type: imap, password: {SECRET}}}",  # without a user name
        f"{{type: imap, username: x, password: {SECRET}, tls: perhaps}}",
        f"{{type: imap, passwrd: {SECRET}, username: x}}",
        f'{{type: imap, username: x, password: "{SECRET}\\r\\n"}}',
        f"{{type: imap, username: x, password: [{SECRET}]}}",
        f"{{type: imap, username: x, password: {{{SECRET}: 1}}}}",
        f"{{type: http, token: {SECRET}, username: x, password: '{SECRET}'}}",
        f"{{type: http, token: '{SECRET} {SECRET}'}}",
        f"{{type: http, headers: {{Authorization: {SECRET}}}, token: b}}",
        f"{{type: tcp, password: {SECRET}}}",  # a kind that has none
        f"\n      type: imap\n      password: {SECRET}, more\n      username: [1]",
        f"\n      type: imap\n      password: {SECRET}\n      password: {SECRET}\n",
        f"{{type: radius, secret: {SECRET}, secret_file: /nowhere}}",
    ],
)
def test_no_error_prints_a_secret(tmp_path: Path, check: str) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(FILE.format(check=check))
    loaded = load(file)
    assert loaded.errors
    shown = render(loaded.diagnostics, loaded.sources)
    assert SECRET not in shown
    assert SECRET not in repr([found.to_json() for found in loaded.diagnostics])


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()))
def test_a_line_keeps_its_length_and_only_secrets_are_covered(line: str) -> None:
    assert len(masked(line)) == len(line)
    assert len(masked(f"password: {line}")) == len(f"password: {line}")


def test_what_is_no_secret_stays() -> None:
    line = "check: {type: imap, username: x, password_file: /etc/p, timeout: 1s}"
    assert masked(line) == line
    assert masked("  {password: a-b, type: imap}") == "  {password: ***, type: imap}"
    assert [is_secret(key) for key in ("password", "password_file", "hmac_keys", "path")] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("mode", "content", "why"),
    [
        (0o604, "hunter2\n", "can be read or written by others"),
        (0o620, "hunter2\n", "can be read or written by others"),
        (0o600, "\nhunter2\n", "the first line of"),
        (None, "", "no such file or directory"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_refused(
    tmp_path: Path, mode: int | None, content: str, why: str
) -> None:
    secret = tmp_path / "password"
    if mode is not None:
        secret.write_text(content)
        secret.chmod(mode)
    file = tmp_path / "pair.yaml"
    check = f"{{type: imap, username: x, password_file: {secret}}}"
    file.write_text(FILE.format(check=check))
    (error,) = load(file).errors
    assert (error.path, why in error.message) == ("services[0].check.password_file", True)
    assert "hunter2" not in error.message
