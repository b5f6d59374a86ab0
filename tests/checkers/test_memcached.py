"""The check `memcached` against memcached, and against servers that misbehave."""

import ssl
from collections.abc import Iterator

import pytest
import trustme

from checkers.base import OptionError, Reason, Target
from checkers.memcached import MemcachedOptions
from tests.checkers import packaged, servers
from tests.checkers.dialogues import against, probe, saying
from tests.prerequisites import require

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = MemcachedOptions()


@pytest.fixture(scope="module")
def memcached() -> Iterator[Target]:
    require("memcached")
    port = servers.free_port()
    with packaged.open_directory("memcached") as directory:
        arguments = ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0"]
        with packaged.running(arguments, directory, port) as target:
            yield target


def test_memcached_tells_its_version(memcached: Target) -> None:
    assert probe(memcached, PLAIN).sentence.startswith("version 1.")


def test_the_same_over_tls(authority: trustme.CA, ca_file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    options = MemcachedOptions(tls="implicit", ca=ca_file)
    assert against(saying(b"", b"VERSION 9\r\n"), options, tls=context).healthy


def test_an_error_fails() -> None:
    result = against(saying(b"SERVER_ERROR out of memory\r\n"), PLAIN)
    assert result.reason is Reason.L7_STATUS
    assert result.sentence.startswith('answered "SERVER_ERROR out of memory" (L7) after ')


def test_there_is_no_starttls() -> None:
    with pytest.raises(OptionError, match="memcached has no TLS of that sort"):
        MemcachedOptions(tls="starttls")
