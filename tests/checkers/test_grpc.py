"""The check `grpc` against gRPC's own server, and against servers that misbehave."""

import contextlib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from checkers.base import OptionError, Reason, Target
from checkers.grpc import Call, GrpcOptions, health_of, request
from checkers.recording import Failure
from tests.checkers import servers
from tests.checkers.dialogues import against, probe, saying

pytestmark = pytest.mark.usefixtures("no_leak")

PLAIN = GrpcOptions()


@dataclass(frozen=True)
class Served:
    """Servers of gRPC's: with the health service, without it, with it over TLS."""

    healthy: Target
    without: Target
    secure: Target


@pytest.fixture(scope="module")
def served(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("grpc")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(directory / "chain.pem"), append=True)
    arguments = [sys.executable, "-m", "tests.checkers.grpc_server", str(directory)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            ports = process.stdout.readline().split()
            yield Served(*(Target(servers.LOOPBACK, int(port)) for port in ports))
        finally:
            process.kill()


def test_the_server_as_a_whole_and_each_service(served: Served) -> None:
    assert probe(served.healthy, PLAIN).sentence.startswith("says SERVING in ")
    assert probe(served.healthy, GrpcOptions(service="shop.Search")).healthy
    down = probe(served.healthy, GrpcOptions(service="shop.Cart"))
    assert down.reason is Reason.L7_CONTENT
    assert down.sentence.startswith("says NOT_SERVING (L7) after ")


def test_a_service_that_the_server_does_not_know(served: Served) -> None:
    unknown = probe(served.healthy, GrpcOptions(service="shop.Nothing"))
    assert unknown.reason is Reason.L7_STATUS
    assert unknown.sentence.startswith(
        "gRPC status 5 (NOT_FOUND: the server knows no such service) (L7) after "
    )
    assert probe(served.healthy, GrpcOptions(service="shop.Nothing", grpc_status=5)).healthy


def test_a_server_without_the_health_service(served: Served) -> None:
    result = probe(served.without, PLAIN)
    assert result.reason is Reason.L7_STATUS
    assert "(UNIMPLEMENTED: the server has no health service)" in result.sentence
    assert probe(served.without, GrpcOptions(grpc_status=12)).healthy


def test_the_same_over_tls(served: Served, ca_file: str) -> None:
    assert probe(served.secure, GrpcOptions(tls="implicit", ca=ca_file)).healthy
    untrusted = probe(served.secure, GrpcOptions(tls="implicit"))
    assert untrusted.reason is Reason.TLS_CERTIFICATE
    plain = probe(served.secure, PLAIN)
    assert plain.reason in (Reason.L7_CLOSED, Reason.L7_PROTOCOL)


def test_a_service_that_does_not_know_yet(served: Served) -> None:
    result = probe(served.healthy, GrpcOptions(service="shop.Orders"))
    assert result.sentence.startswith("says UNKNOWN (L7) after ")


def test_http_1_is_told() -> None:
    result = against(saying(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", close=True), PLAIN)
    assert result.reason is Reason.L7_PROTOCOL
    assert "is no HTTP/2" in result.sentence


def test_tls_needs_its_options() -> None:
    with pytest.raises(OptionError, match="grpc has no TLS of that sort"):
        GrpcOptions(tls="starttls")
    with pytest.raises(OptionError, match="is of no use without `tls`"):
        GrpcOptions(ca=str(Path("ca.pem")))
    with pytest.raises(OptionError, match="not ASCII"):
        GrpcOptions(authority="übung.example")


def test_our_side_offers_http_2_in_tls(authority: trustme.CA, ca_file: str) -> None:
    """Servers of gRPC's refuse a connection that was not agreed to be HTTP/2 (RFC 7301)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])  # nothing in common: OpenSSL goes on without
    options = GrpcOptions(tls="implicit", ca=ca_file)
    result = against(saying(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"), options, tls=context)
    assert result.reason is Reason.L7_PROTOCOL


@given(st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable()))
def test_our_request_is_what_gRPC_reads(service: str) -> None:  # noqa: N802 - its name
    framed = request(service)
    assert framed[:5] == b"\0" + (len(framed) - 5).to_bytes(4)
    assert health_pb2.HealthCheckRequest.FromString(framed[5:]).service == service


@given(st.integers(0, 3))
def test_their_answer_is_what_we_read(status: int) -> None:
    message = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    assert health_of(b"\0" + len(message).to_bytes(4) + message) == status


@given(st.binary(max_size=32))
def test_nonsense_is_no_health(body: bytes) -> None:
    with contextlib.suppress(Failure):
        assert health_of(body) <= 0x7F


@given(st.binary(min_size=1, max_size=200))
def test_nonsense_breaks_no_call(data: bytes) -> None:
    call = Call("http", "192.0.2.1:80", "")
    call.open()
    with contextlib.suppress(Failure):
        call.receive(data)
        assert not call.ended or call.code()
