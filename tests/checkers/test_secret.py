"""Secrets: from files of their own, read for each probe, and in nothing that is told."""

import asyncio
import base64
import os
from pathlib import Path

import pytest

from checkers.base import OptionError, ProbeError, Result, Target
from checkers.check import Check
from checkers.http import HttpOptions
from checkers.imap import ImapOptions
from checkers.once import run_once
from checkers.options import CheckOptions
from checkers.registry import KINDS
from checkers.secret import SecretError, read_secret
from tests.checkers.servers import LOOPBACK, serving

SECRET = 'hunter2 "and" more'


def written(file: Path, text: str, mode: int = 0o600) -> str:
    file.write_text(text)
    file.chmod(mode)
    return str(file)


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An IMAP server that says back all it hears."""
    writer.write(b"* OK\r\n")
    while line := await reader.readline():
        tag, _, rest = line.partition(b" ")
        writer.write(b"* you said " + rest)
        if rest.startswith(b"LOGIN") and rest.count(b'"') > 2:
            writer.write(tag + b" NO " + rest)
        writer.write(tag + b" OK\r\n")


def told(result: Result) -> str:
    return "\n".join((result.sentence, *result.transcript))


def test_what_a_server_says_back_is_not_told_on(tmp_path: Path) -> None:
    file = written(tmp_path / "password", "plain-hunter2\n")

    async def main() -> None:
        async with serving(babbling) as target:
            for options in (
                ImapOptions(username="x", password="plain-hunter2"),
                ImapOptions(username="x", password_file=file),
            ):
                result = await run_once(Check("k", target, options))
                assert "LOGIN" in told(result)
                assert "hunter2" not in told(result)

    asyncio.run(main())


def test_a_new_password_needs_no_reload(tmp_path: Path) -> None:
    heard: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        file = written(tmp_path / "token", "first\n")
        async with serving(listen) as target:
            check = Check("k", target, HttpOptions(token_file=file))
            probe = check.make_probe()
            for token in ("first", "second"):
                written(tmp_path / "token", token)
                assert (await probe.probe(target, 1.0)).healthy
        assert ["Bearer first" in heard[0], "Bearer second" in heard[1]] == [True, True]

    asyncio.run(main())


def test_basic_authentication_is_not_told_on_in_base64_either() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 %b\r\n\r\n" % request.partition(b"Basic ")[2].split()[0])
        await writer.drain()

    async def main() -> None:
        async with serving(echo) as target:
            options = HttpOptions(username="me", password="hunter2")
            result = await run_once(Check("k", target, options))
        assert "status 500" in result.sentence
        assert base64.b64encode(b"me:hunter2").decode() not in told(result)

    asyncio.run(main())


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602])
def test_a_file_open_to_others_is_not_read(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretError, match="chmod 600"):
        read_secret(written(tmp_path / "p", SECRET, mode))


def test_what_is_no_file_with_a_line_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name, text in (("empty", ""), ("long", "x" * 5000), ("line", "\nsecond")):
        with pytest.raises(SecretError, match="the first line of"):
            read_secret(written(tmp_path / name, text))
    for name in ("fifo", "missing", "."):
        with pytest.raises(SecretError):
            read_secret(str(tmp_path / name))


def test_without_its_password_a_probe_cannot_be_made(tmp_path: Path) -> None:
    file = written(tmp_path / "password", "has\0zero")
    target = Target(LOOPBACK, 1)
    for name, why in (
        ("password", "`password_file` holds cannot be used"),
        ("gone", "cannot read"),
    ):
        options = ImapOptions(username="x", password_file=file.replace("password", name))
        with pytest.raises(ProbeError, match=why):
            asyncio.run(run_once(Check("k", target, options)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].secrets])
def test_every_secret_may_come_from_a_file_but_not_from_both(kind: str) -> None:
    options: type[CheckOptions] = KINDS[kind]
    for name in options.secrets:
        common = {"username": "x"} if name == "password" else {}
        more = {"secret": "s"} if kind == "radius" and name == "password" else {}
        file = {f"{name}_file": "/etc/secret"}
        assert options(**common, **more, **file).secret_options  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="not both"):
            options(**common, **more, **file, **{name: "s"})  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="absolute path"):
            options(**common, **more, **{f"{name}_file": "secret"})  # type: ignore[arg-type]
