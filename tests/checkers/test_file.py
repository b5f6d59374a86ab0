"""The check `file`: a file takes a server out, brings it in, or says how it is."""

import asyncio
import os
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from checkers.base import Advice, OptionError, ProbeError, Reason, Result, Target
from checkers.file import FileOptions

SERVER = Target(ip_address("198.51.100.21"), 80)

pytestmark = pytest.mark.usefixtures("no_leak")


def probe(options: FileOptions) -> Result:
    return asyncio.run(options.make_probe().probe(SERVER, 1.0))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "198.51.100.21-80"


@pytest.fixture
def options(tmp_path: Path) -> FileOptions:
    return FileOptions(file=f"{tmp_path}/{{address}}-{{port}}")


def test_a_file_takes_its_server_out(file: Path, options: FileOptions) -> None:
    result = probe(options)
    assert result.sentence.startswith(f"{file} is not there, found in ")
    file.write_text("new kernel\nsecond line\n")
    result = probe(options)
    assert (result.healthy, result.reason) == (False, Reason.FILE)
    assert result.sentence.startswith(f'{file} is there: "new kernel" (file) after ')
    file.write_bytes(b"")
    assert probe(options).sentence.startswith(f"{file} is there (file) after ")


def test_a_file_brings_its_server_in(file: Path, options: FileOptions) -> None:
    options = replace(options, means="up")
    assert probe(options).sentence.startswith(f"{file} is not there (file) after ")
    file.touch()
    assert probe(options).sentence.startswith(f"{file} is there, found in ")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("40\n", Advice(weight=40)),
        ("25%", Advice(percent=25)),
        ("drain # patching\n", Advice(drain=True)),
        ("up\n", None),
    ],
)
def test_a_file_says_how_much(
    file: Path, options: FileOptions, text: str, advice: Advice | None
) -> None:
    options = replace(options, means="says")
    assert probe(options).advice is None
    file.write_text(text)
    result = probe(options)
    assert result.healthy
    assert result.advice == advice


def test_a_file_says_down(file: Path, options: FileOptions) -> None:
    file.write_text("maint # until noon")
    result = probe(replace(options, means="says"))
    assert result.sentence.startswith(f"{file} says maint (until noon) (file) after ")


@pytest.mark.parametrize("text", ["", "x", "70000", "x" * 100_000])
def test_what_cannot_be_understood_is_our_fault(
    file: Path, options: FileOptions, text: str
) -> None:
    file.write_text(text)
    with pytest.raises(ProbeError, match="it says") as error:
        probe(replace(options, means="says"))
    assert len(str(error.value)) < 250


def test_what_is_no_file_is_our_fault_and_never_waited_for(
    file: Path, options: FileOptions
) -> None:
    os.mkfifo(file)
    with pytest.raises(ProbeError, match="is not a regular file"):
        probe(options)
    file.unlink()
    file.mkdir()
    with pytest.raises(ProbeError, match="is not a regular file"):
        probe(options)
    with pytest.raises(ProbeError, match="file name too long"):
        probe(FileOptions(file="/" + "x" * 300))


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "is missing"),
        ("relative", "is not an absolute path"),
        ("/run/{server}", "{server} stands for nothing"),
        ("/run/\0", "zero byte"),
    ],
)
def test_options_that_cannot_work_name_their_field(file: str | None, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        FileOptions(file=file)
    assert error.value.field == "file"
