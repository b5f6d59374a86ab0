"""Kinds of checks from other packages: the example of the guide, and packages that are wrong."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from checkers.plugins import GROUP
from tests.checkers import servers

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "example_plugin"
PAIR = """
nodes: {{lb1: {{address: 192.0.2.11, priority: 254}}}}
virtual_routers:
  - {{name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]}}
services:
  - name: web
    listen: tcp://192.0.2.100:80
    forward: nat
    check: {check}
    servers: ["127.0.0.1:{port}"]
"""


def install(directory: Path, name: str, entries: dict[str, str], code: str | None = None) -> None:
    """What an installer leaves behind: the module, and what the distribution says of itself."""
    if code is not None:
        (directory / f"{name}.py").write_text(code)
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{kind} = {value}\n" for kind, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")


def install_example(directory: Path) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    for module in EXAMPLE.glob("*.py"):
        shutil.copy(module, directory)
    install(directory, "hadirector_echo", project["entry-points"][GROUP])


def hadirector(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with what is in `directory` installed."""
    return subprocess.run(
        [sys.executable, "-m", "hadirector", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin", "COLUMNS": "300"},
        timeout=60,
    )


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., str]:
    def write(check: str, port: int = 7) -> str:
        file = tmp_path / "pair.yaml"
        file.write_text(PAIR.format(check=check, port=port))
        return str(file)

    return write


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("handler", "code", "sentence"),
    [(echo, 0, 'echoed "good day'), (shout, 1, 'answered "GOOD DAY')],
)
def test_the_example_of_the_guide_checks_a_server(
    handler: servers.Handler, code: int, sentence: str, tmp_path: Path, pair: Callable[..., str]
) -> None:
    install_example(tmp_path)

    async def main() -> subprocess.CompletedProcess[str]:
        async with servers.serving(handler) as target:
            file = pair("{type: echo, word: good day}", target.port)
            return await asyncio.to_thread(hadirector, tmp_path, "probe", file, "web", "--json")

    done = asyncio.run(main())
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence in json.dumps(json.loads(done.stdout)).replace('\\"', '"')


def test_its_options_are_checked_and_told_to_editors(
    tmp_path: Path, pair: Callable[..., str]
) -> None:
    install_example(tmp_path)
    done = hadirector(tmp_path, "check", pair("{type: echo, wordd: x}"))
    assert done.returncode == 2
    assert 'unknown key "wordd"' in done.stderr
    assert '"word"' in done.stderr  # did you mean
    schema = json.loads(hadirector(tmp_path, "schema").stdout)
    assert schema["$defs"]["EchoCheck"]["properties"]["word"]["maxLength"] == 100


def test_a_kind_that_is_not_installed_is_unknown(tmp_path: Path, pair: Callable[..., str]) -> None:
    done = hadirector(tmp_path, "check", pair("{type: echo}"))
    assert done.returncode == 2
    assert 'unknown kind of check "echo"' in done.stderr


DECLARED = """
from dataclasses import dataclass
from typing import Annotated, ClassVar
from annotated_types import doc
from checkers.options import CheckOptions

@dataclass(frozen=True, slots=True, kw_only=True)
class Options(CheckOptions):
    kind: ClassVar[str] = "odd"
"""
PROBES = "    def make_probe(self): return None\n"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named"),
        ("Options = 3", "is no class derived from checkers.CheckOptions"),
        (DECLARED, "makes no probe"),
        (DECLARED.replace('"odd"', '"other"') + PROBES, "calls itself 'other'"),
        (DECLARED.replace("@dataclass(frozen=True, slots=True, kw_only=True)", "") + PROBES,
         "is no frozen dataclass"),
        (DECLARED + "    word: str = 'x'\n" + PROBES, 'does not say what its option "word" is for'),
        (DECLARED + "    rise: Annotated[int, doc('x')] = 2\n" + PROBES,
         'has an option "rise", which every check has'),
        (DECLARED + "    path: Annotated[int, doc('x')] = 2\n" + PROBES,
         'has an option "path" of another type than checks of "http"'),
    ],
)  # fmt: skip
def test_a_package_that_is_wrong_is_told_with_its_name(
    code: str, fault: str, tmp_path: Path, pair: Callable[..., str]
) -> None:
    install(tmp_path, "odd_package", {"odd": "odd_package:Options"}, code)
    done = hadirector(tmp_path, "check", pair("{type: odd}"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert 'the kind of check "odd" of odd_package 1.0' in done.stderr
    assert fault in done.stderr


def test_a_package_that_is_wrong_hurts_nobody_else(
    tmp_path: Path, pair: Callable[..., str]
) -> None:
    install(tmp_path, "odd_package", {"odd": "odd_package:Options"}, "import no_such_module")
    done = hadirector(tmp_path, "check", pair("{type: tpc}"))
    assert 'did you mean "tcp"' in done.stderr


def test_two_packages_with_one_kind_are_told(tmp_path: Path, pair: Callable[..., str]) -> None:
    for name in ("one_package", "two_package"):
        install(tmp_path, name, {"odd": f"{name}:Options"}, DECLARED + PROBES)
    done = hadirector(tmp_path, "check", pair("{type: odd}"))
    assert 'one_package 1.0 and two_package 1.0 both have a kind of check "odd"' in done.stderr


def test_nobody_takes_a_kind_of_ours(tmp_path: Path, pair: Callable[..., str]) -> None:
    install(tmp_path, "odd_package", {"tcp": "odd_package:Options"}, "raise SystemExit(9)")
    assert hadirector(tmp_path, "check", pair("{type: tcp}")).returncode == 0


def test_who_follows_the_guide_has_the_whole_example() -> None:
    guide = (ROOT / "docs" / "plugins.md").read_text()
    (project,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert project == (EXAMPLE / "pyproject.toml").read_text()
    module = "\n".join(re.findall(r"```python\n(.*?)```", guide, re.DOTALL))
    _, _, code = (EXAMPLE / "hadirector_echo.py").read_text().split('"""', maxsplit=2)
    assert module == code.lstrip()
