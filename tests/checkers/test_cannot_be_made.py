"""What this host cannot do is never held against a server: every kind, every cause.

The options of each kind are those of the example on its page.
"""

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkers.base import ProbeError, Target
from checkers.check import Check
from checkers.file import FileOptions
from checkers.once import run_once
from checkers.options import CheckOptions
from checkers.registry import KINDS
from checkers.script import ScriptOptions
from checkers.timing import Timing
from tests.prerequisites import AS_USER, require

PAGES = Path(__file__).parent.parent.parent / "docs" / "checks"
HERE = Target(ip_address("127.0.0.1"), 9)
AWAY = Target(ip_address("192.0.2.1"), 9)
CONNECTING = [kind for kind in KINDS if "source" not in KINDS[kind].lacks]
FILES = ("ca", "certificate", "key", "password_file", "token_file", "secret_file")


def example(kind: str) -> CheckOptions:
    """The check of the page, without the files that it names and nobody has."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (PAGES / f"{kind}.md").read_text(), re.DOTALL)
    check: dict[str, Any] = yaml.safe_load(text)["check"]
    timing = set(Timing.__dataclass_fields__)
    for name in ("type", *FILES, *timing):
        check.pop(name, None)
    return KINDS[kind](**check)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", CONNECTING)
def test_without_a_source_or_a_descriptor(kind: str) -> None:
    async def main() -> None:
        options = example(kind)
        elsewhere = replace(options, source=ip_address("192.0.2.77"))
        with pytest.raises(ProbeError, match=r"no probe from 192\.0\.2\.77"):
            await run_once(Check("k", HERE, elsewhere))
        with no_descriptor_left(), pytest.raises(ProbeError, match=r"\(EMFILE\)|too many open"):
            await run_once(Check("k", HERE, options))

    asyncio.run(main())


def test_without_a_route() -> None:
    """In a network namespace that has nothing but a loopback that is down."""
    require(namespaces=True)
    user = () if os.geteuid() == 0 else AS_USER
    program = [sys.executable, "-m", "tests.checkers.test_cannot_be_made"]
    ended = subprocess.run(
        ["unshare", *user, "--net", *program], capture_output=True, check=True, timeout=60
    )
    told = json.loads(ended.stdout)
    assert set(told) == set(CONNECTING)
    assert {kind: text for kind, text in told.items() if "(ENETUNREACH)" not in text} == {}


async def all_kinds_without_a_route() -> dict[str, str]:
    told = {}
    for kind in CONNECTING:
        try:
            told[kind] = str(await run_once(Check("k", AWAY, example(kind))))
        except ProbeError as error:
            told[kind] = str(error)
    return told


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (ScriptOptions(shell="true", user="nobody-at-all"), "there is no user 'nobody-at-all'"),
        (ScriptOptions(command=("/no/such/program",)), "no such file or directory"),
        (ScriptOptions(command=("/etc/passwd",)), "is not executable"),
        (FileOptions(file="/etc"), "is not a regular file"),
        (FileOptions(file="/dev/null"), "is not a regular file"),
    ],
)
def test_what_is_run_or_read_here(options: CheckOptions, why: str) -> None:
    require(root=True)
    with pytest.raises(ProbeError, match=why):
        asyncio.run(run_once(Check("k", HERE, options)))


def speaks_tls_at_once(kind: str) -> bool:
    return hasattr(KINDS[kind], "ca") and "implicit" in getattr(
        KINDS[kind], "tls_modes", ("implicit",)
    )


@pytest.mark.parametrize("kind", [kind for kind in CONNECTING if speaks_tls_at_once(kind)])
def test_without_the_trusted_certificates(kind: str, tmp_path: Path) -> None:
    secured: dict[str, Any] = {"verify": True, "ca": str(tmp_path / "gone.pem"), "port": None}
    if hasattr(KINDS[kind], "tls_modes"):
        secured["tls"] = "implicit"
    options = replace(example(kind), **secured)

    async def main() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            target = Target(HERE.address, server.sockets[0].getsockname()[1])
            with pytest.raises(ProbeError, match=r"gone\.pem"):
                await run_once(Check("k", target, options))

    asyncio.run(main())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(all_kinds_without_a_route())))
