"""Fixtures for tests against real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from checkers.base import Target
from tests.checkers import servers
from tests.prerequisites import require

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A throw-away certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its certificate, as the option `ca` wants it."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The packaged nginx, without TLS."""
    require("nginx")
    with servers.nginx(tmp_path_factory.mktemp("nginx")) as target:
        yield target


@pytest.fixture
def no_leak() -> Iterator[None]:
    """The test must leave no descriptor behind."""
    before = set(DESCRIPTORS.iterdir())
    yield
    after = set(DESCRIPTORS.iterdir())
    assert after == before, {file.name: _link(file) for file in after - before}


def _link(file: Path) -> str:
    return str(file.readlink()) if file.is_symlink() else "closed"
