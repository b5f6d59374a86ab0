"""What a check cannot be, each refused at its place when the file is read, with the reason.

The rows name every refusal that a kind of check can make: one that is made nowhere here fails
`test_every_refusal_has_a_row`. What holds for many kinds is tried with each of them.
"""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import trustme
import yaml

import checkers
from checkers.base import OptionError
from checkers.registry import KINDS, NAMES
from tests.hadirector.config.samples import NODES, load_text
from tests.prerequisites import require

SERVICE = (
    "virtual_routers: []\n"
    "services: [{name: a, listen: 'fwmark:7', forward: dr, servers: ['198.51.100.21:80'],\n"
    "            check: CHECK}]\n"
)
CHECK_LINE = 6
Check = dict[str, object]

DNS: Check = {"type": "dns", "name": "www.example.org"}
HTTP: Check = {"type": "http"}
SMTP: Check = {"type": "smtp"}
SCRIPT: Check = {"type": "script", "shell": "true"}
PAGE: Check = {"type": "http", "contains": "ready"}

ROWS: tuple[tuple[Check, str, str], ...] = (
    # what is missing
    ({"type": "agent"}, "port", "an agent has a port of its own"),
    ({"type": "dns"}, "name", "what should the server be asked for?"),
    ({"type": "file"}, "file", "which file says how the server is?"),
    ({"type": "script"}, "command", "write either `command` or `shell`"),
    ({"type": "udp"}, "send", "a UDP server is not heard unless it is asked"),
    ({"type": "radius"}, "secret", "without it the server answers nothing"),
    ({"type": "mysql", "password": "x"}, "username", "whose password is it?"),
    ({"type": "postgresql", "role": "primary"}, "username", "`role` needs a login"),
    ({"type": "redis", "username": "joe"}, "password", "a user name is of no use without it"),
    ({"type": "imap", "username": "joe"}, "password", "go together"),
    ({"type": "http", "password": "x"}, "username", "go together"),
    ({"type": "http", "json_key": "a"}, "json_value", "go together"),
    # an expectation where there is no answer
    ({"type": "udp", "expect": "x"}, "send", "a UDP server is not heard unless it is asked"),
    ({"type": "tcp", "refuse": "x"}, "refuse", "without `expect` no answer is read"),
    ({"type": "tcp", "hold": True, "expect": "x"}, "hold", "holds no dialogue"),
    ({"type": "tcp", "half_open": True, "expect": "x"}, "half_open", "holds no dialogue"),
    (PAGE | {"method": "HEAD"}, "contains", "the answer to HEAD has no body"),
    (PAGE | {"body_limit": 0}, "body_limit", "without a body there is no `contains` in it"),
    (PAGE | {"body_limit": 4}, "body_limit", "smaller than the text"),
    (DNS | {"rcode": "NXDOMAIN", "answers": ["192.0.2.1"]}, "answers", "only an answer with the"),
    (DNS | {"rcode": "NXDOMAIN", "answers_min": 1}, "answers_min", "only an answer with the"),
    (HTTP | {"status": []}, "status", "an empty list: no answer could ever pass"),
    # options that cannot work together
    ({"type": "tcp", "half_open": True, "hold": True}, "hold", "there is no connection to hold"),
    ({"type": "tcp", "hold": True, "inverted": True}, "hold", "leaves no connection to hold"),
    ({"type": "tcp", "half_open": True, "mark": 7}, "mark", "carries no mark"),
    ({"type": "tcp", "send": "a", "send_hex": "61"}, "send_hex", "not both"),
    (HTTP | {"body": "x"}, "body", "only a POST sends a body"),
    (HTTP | {"token": "x", "username": "a", "password": "b"}, "token", "either a token or a user"),
    (HTTP | {"headers": {"Host": "x"}}, "headers", "write the option `host`"),
    (HTTP | {"token": "x", "headers": {"Authorization": "y"}}, "headers", "either this or user"),
    (HTTP | {"token": "x", "token_file": "/x"}, "token_file", "not both"),
    ({"type": "script", "shell": "a", "command": ["/b"]}, "command", "either `command` or `shell`"),
    (SCRIPT | {"dynamic_weight": True, "inverted": True}, "inverted", "can ask for no weight"),
    (SCRIPT | {"draining": [4], "inverted": True}, "inverted", "can ask for no drain"),
    (SCRIPT | {"unable": [0]}, "unable", "0 is in `passing` already"),
    ({"type": "tls", "verify": False, "ca": "/x"}, "ca", "without `verify` no certificate"),
    ({"type": "tls", "verify": False, "days_left": 7}, "days_left", "without `verify` no cert"),
    ({"type": "tls", "key": "/x"}, "key", "a key is of no use without a `certificate`"),
    (SMTP | {"days_left": 7}, "days_left", "is of no use without `tls`"),
    ({"type": "redis", "tls": "starttls"}, "tls", "has no TLS of that sort"),
    ({"type": "tcp", "source": "2001:db8::1"}, "source", "no way from an IPv6 address to an IPv4"),
    (HTTP | {"fast_interval": "5s"}, "fast_interval", "is no faster than the interval"),
    # what cannot be understood, or sent
    (HTTP | {"matches": "("}, "matches", "is no regular expression"),
    (HTTP | {"status": 99}, "status", "is not a status"),
    (HTTP | {"path": "healthz"}, "path", "does not begin with a slash"),
    (HTTP | {"path": "/a b"}, "path", "holds a space"),
    (HTTP | {"host": "a b"}, "host", "is not a host name"),
    (HTTP | {"headers": {"a b": "c"}}, "headers", "is no header of HTTP"),
    (HTTP | {"username": "a:b", "password": "c"}, "username", "a colon cannot be in it"),
    (HTTP | {"token": "a b"}, "token", "has no spaces"),
    (HTTP | {"token_file": "x"}, "token_file", "is not an absolute path"),
    (DNS | {"name": "a..b"}, "name", "is no name in the DNS"),
    (DNS | {"record": "ABC"}, "record", "is no type of record"),
    (DNS | {"record": "ANY"}, "record", "is not one type of record"),
    (DNS | {"rcode": "FINE"}, "rcode", "is no code of the DNS"),
    (DNS | {"answers": ["nowhere"]}, "answers", "is no record of type A"),
    ({"type": "tcp", "send_hex": "6g"}, "send_hex", "is not pairs of hex digits"),
    ({"type": "file", "file": "out"}, "file", "is not an absolute path"),
    ({"type": "file", "file": "/out/{name}"}, "file", "stands for nothing"),
    ({"type": "file", "file": "/out\0"}, "file", "holds a zero byte"),
    ({"type": "grpc", "authority": "bücher.example"}, "authority", "is not ASCII"),
    ({"type": "mysql", "username": "a\0"}, "username", "holds a zero byte"),
    ({"type": "postgresql", "username": "a\0"}, "username", "holds a zero byte"),
    ({"type": "pop3", "username": "a\n", "password": "b"}, "username", "holds a line end"),
    ({"type": "radius", "secret": "a", "username": "b" * 254, "password": "c"}, "username", "253"),
    ({"type": "sip", "uri": "example.org"}, "uri", "is no URI"),
    (SMTP | {"hello": "a b"}, "hello", "is no name of a host"),
    ({"type": "tls", "server_name": "a b"}, "server_name", "no name that a certificate could hold"),
    ({"type": "script", "command": ["true"]}, "command", "is not an absolute path"),
    ({"type": "script", "shell": "a\0"}, "shell", "holds a zero byte"),
    (SCRIPT | {"environment": {"A=B": "c"}}, "environment", "cannot be a variable's name"),
    (SCRIPT | {"environment": {"PATH": "/"}}, "environment", "is not to be chosen here"),
    # what is not on this host
    ({"type": "script", "command": ["/no/such"]}, "command", "no such file or directory"),
    (SCRIPT | {"user": "nobody-at-all"}, "user", "there is no user 'nobody-at-all'"),
    ({"type": "tls", "ca": "/no/such.pem"}, "ca", "cannot read /no/such.pem"),
    ({"type": "tls", "ca": "/etc/passwd"}, "ca", "no certificates (PEM) in /etc/passwd"),
    ({"type": "tls", "certificate": "/etc/passwd"}, "certificate", "cannot use /etc/passwd"),
    (HTTP | {"token_file": "/no/such"}, "token_file", "no such file"),
)
FROM_NO_FILE = {
    "ping.py": "a file's keys are those that a kind has, and `port` is none of its",
    "timing.py": "the configuration compares times itself, since it knows where each is written",
}
"""Refusals for those who use the library without a file, and why no file comes to them."""


def text_of(check: Check) -> str:
    flow = yaml.safe_dump(check, default_flow_style=True, width=10_000, allow_unicode=True)
    return NODES + SERVICE.replace("CHECK", flow.strip())


def refused(check: Check, directory: Path) -> str:
    """The one finding, which must be an error in the check, as `path: message`."""
    loaded = load_text(directory, text_of(check))
    assert loaded.config is None
    (found,) = loaded.diagnostics
    assert found.line == CHECK_LINE, loaded.render()
    assert found.column > 1
    return f"{found.path}: {found.message}"


@pytest.mark.parametrize(("check", "option", "sentence"), ROWS)
def test_what_cannot_work_is_refused(
    check: Check, option: str, sentence: str, tmp_path: Path
) -> None:
    finding = refused(check, tmp_path)
    assert finding.startswith(f"services[0].check.{option}: ")
    assert sentence in finding


def test_every_refusal_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place in the kinds that refuses an option is come by, from a file."""
    directory = Path(checkers.__file__).parent
    wanted = {
        f"{file.name}:{node.lineno}"
        for file in directory.glob("*.py")
        if file.name not in FROM_NO_FILE
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "OptionError"
    }
    reached = set()
    made = OptionError.__init__

    def note(self: OptionError, field: str, sentence: str) -> None:
        caller = sys._getframe(1)
        reached.add(f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}")
        made(self, field, sentence)

    monkeypatch.setattr(OptionError, "__init__", note)
    for check, _, _ in ROWS:
        load_text(tmp_path, text_of(check))
    assert wanted - reached == set()


REQUIRED: dict[str, Check] = {
    "agent": {"port": 9777},
    "dns": {"name": "www.example.org"},
    "file": {"file": "/run/out"},
    "script": {"shell": "true"},
    "udp": {"send": "ping"},
    "radius": {"secret": "shared"},
}


def least(kind: str) -> Check:
    """What a kind cannot do without."""
    return {"type": kind} | REQUIRED.get(kind, {})


def options_of(kind: str) -> set[str]:
    return {field.name for field in fields(KINDS[kind])} - set(KINDS[kind].lacks)


@pytest.mark.parametrize("kind", NAMES)
def test_an_option_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    """So an expectation is, where a kind has no answer to expect anything of."""
    everybodys = set.union(*(options_of(other) for other in NAMES))
    for name in everybodys - options_of(kind):
        finding = refused(least(kind) | {name: "x"}, tmp_path)
        assert finding.startswith(f'services[0].check.{name}: unknown key "{name}"')
    with_lack = KINDS[kind].lacks.items()
    for name, why in with_lack:
        loaded = load_text(tmp_path, text_of(least(kind) | {name: "x"}))
        assert why in loaded.render()


@pytest.mark.parametrize("kind", NAMES)
def test_a_timeout_above_an_interval_is_refused(kind: str, tmp_path: Path) -> None:
    for name in ("interval", "fast_interval", "down_interval"):
        check = least(kind) | {"interval": "10s", "timeout": "5s", name: "4s"}
        loaded = load_text(tmp_path, text_of(check))
        assert "the timeout of 5s is above the" in loaded.render(), name
        assert loaded.config is None
        assert {found.line for found in loaded.errors} == {CHECK_LINE}


@pytest.mark.parametrize(
    ("written", "nearest"),
    [("htpp", "http"), ("postgres", "postgresql"), ("memcache", "memcached"), ("PING", "ping")],
)
def test_an_unknown_kind_is_told_with_the_nearest(
    written: str, nearest: str, tmp_path: Path
) -> None:
    loaded = load_text(tmp_path, text_of({"type": written}))
    (found,) = loaded.errors
    assert (found.line, found.path) == (CHECK_LINE, "services[0].check.type")
    assert found.message == f'unknown kind of check "{written}"'
    assert f'"{nearest}"' in found.hint


SECURED = [name for name in NAMES if hasattr(KINDS[name], "ca")]


@pytest.mark.parametrize("kind", SECURED)
def test_a_certificate_that_cannot_be_used_is_refused(kind: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    good, other, rubbish = (tmp_path / name for name in ("good.pem", "other.pem", "rubbish.pem"))
    for file in (good, other):
        authority.issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(str(file))
    rubbish.write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    modes = getattr(KINDS[kind], "tls_modes", None)
    check = least(kind) | ({"tls": modes[-1]} if modes else {})
    bad: tuple[tuple[Check, str, str], ...] = (
        ({"ca": str(tmp_path / "gone")}, "ca", "cannot read"),
        ({"ca": str(tmp_path)}, "ca", "cannot read"),
        ({"ca": str(rubbish)}, "ca", "no certificates (PEM)"),
        ({"certificate": str(tmp_path / "gone")}, "certificate", "cannot read"),
        ({"certificate": str(rubbish)}, "certificate", "cannot use"),
        ({"certificate": str(good), "key": str(tmp_path / "gone")}, "key", "cannot read"),
        ({"certificate": str(good), "key": str(other)}, "certificate", "cannot use"),
    )
    for files, option, sentence in bad:
        finding = refused(check | files, tmp_path)
        assert finding.startswith(f"services[0].check.{option}: {sentence}")
    assert load_text(tmp_path, text_of(check | {"certificate": str(good)})).config is not None


@pytest.mark.parametrize(
    ("mode", "above", "owner", "sentence"),
    [
        (0o644, 0o755, 0, "is not executable"),
        (0o757, 0o755, 0, "can be written by others"),
        (0o775, 0o755, 0, "can be written by others"),
        (0o755, 0o777, 0, "can be written by others, who could replace"),
        (0o755, 0o755, 12345, "is owned by user 12345, who could change it"),
    ],
)
def test_a_script_that_others_could_change_is_refused(
    mode: int, above: int, owner: int, sentence: str, tmp_path: Path
) -> None:
    require(root=True)
    program = tmp_path / "bin" / "check"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(mode)
    os.chown(program, owner, owner)
    program.parent.chmod(above)
    finding = refused({"type": "script", "command": [str(program)]}, tmp_path)
    assert finding.startswith("services[0].check.command: ")
    assert sentence in finding
