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
import trustme
import yaml

from checkers import trust
from checkers.base import ProbeError, Target
from checkers.check import Check
from checkers.file import FileOptions
from checkers.once import run_once
from checkers.options import CheckOptions
from checkers.registry import KINDS, NAMES
from checkers.script import ScriptOptions
from checkers.timing import Timing
from tests.checkers import packaged, servers
from tests.prerequisites import AS_USER, require

PAGES = Path(__file__).parent.parent.parent / "docs" / "checks"
HERE = Target(ip_address("127.0.0.1"), 9)
AWAY = Target(ip_address("192.0.2.1"), 9)
CONNECTING = [kind for kind in KINDS if "source" not in KINDS[kind].lacks]
SHELL = ScriptOptions(shell="exit 0")
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
def descriptors_left(number: int) -> Iterator[None]:
    """So many can be opened, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free: list[int] = []
    while len(free) <= number:
        free.append(os.dup(0))
    for descriptor in free:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[number], hard))
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
        with descriptors_left(0), pytest.raises(ProbeError, match=r"\(EMFILE\)|too many open"):
            await run_once(Check("k", HERE, options))

    asyncio.run(main())


@pytest.mark.parametrize("kind", NAMES)
def test_with_few_descriptors(kind: str) -> None:
    """However few there are, what is said of the server is what is true, or nothing is said."""
    options = SHELL if kind == "script" else example(kind)

    async def said(number: int) -> str:
        try:
            with descriptors_left(number):
                result = await run_once(Check("k", HERE, options))
        except ProbeError as error:
            return f"not made: {error}"
        return result.reason.value

    async def main() -> None:
        truth = await said(100)
        assert not truth.startswith("not made")
        seen = [await said(number) for number in range(9)]
        assert seen[0].startswith("not made")
        assert {one for one in seen if not one.startswith("not made")} <= {truth}

    asyncio.run(main())


@pytest.mark.parametrize("place", ["SSL_CERT_DIR", "SSL_CERT_FILE"])
@pytest.mark.parametrize("kind", ["tls", "https"])
def test_with_too_few_descriptors_to_read_the_systems_certificates(
    kind: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL takes a file that it cannot open, now or while it shakes hands, for an absent one."""
    require("openssl")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, timeout=30)
    for name in ("SSL_CERT_DIR", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv(place, str(tmp_path / ("ca.pem" if place.endswith("FILE") else "")))
    trust._context.cache_clear()
    both = tmp_path / "both"
    pair = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    pair.write_to_path(str(both))
    port = servers.free_port()
    # In a process of its own, which has descriptors.
    serve = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", both, "-www"]

    async def said(target: Target, number: int) -> str:
        try:
            with descriptors_left(number):
                return (await run_once(Check("k", target, KINDS[kind]()))).reason.value
        except ProbeError as error:
            return f"not made: {error}"

    async def main(target: Target) -> None:
        seen = [await said(target, number) for number in (0, 1, 2, 3, 4, 100)]
        assert seen[-1] == "ok"
        assert {one for one in seen if not one.startswith("not made")} == {"ok"}, seen

    with packaged.running([*map(str, serve)], tmp_path, port) as target:
        asyncio.run(main(target))
    trust._context.cache_clear()


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
