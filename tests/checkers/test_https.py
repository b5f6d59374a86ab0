"""The check `https`: which certificates hold, and failures of TLS told from those around it."""

import asyncio
import contextlib
import datetime
import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from checkers.base import OptionError, ProbeError, Reason, Result
from checkers.https import HttpsOptions
from tests.checkers import servers
from tests.prerequisites import require

FINE = servers.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
NAME = "www.example.org"

pytestmark = pytest.mark.usefixtures("no_leak")


def server_side(authority: trustme.CA, *names: str, expired: bool = False) -> ssl.SSLContext:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate = authority.issue_cert(*names, not_after=yesterday if expired else None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def against(
    tls: ssl.SSLContext | None,
    options: HttpsOptions,
    handler: servers.Handler = FINE,
    timeout_s: float = 5.0,
) -> Result:
    async def main() -> Result:
        # What the loop says of a handshake that the client broke off is the server's side here.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with servers.serving(handler, tls) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


def test_a_valid_certificate_passes(authority: trustme.CA, ca_file: str) -> None:
    result = against(server_side(authority, NAME), HttpsOptions(ca=ca_file, server_name=NAME))
    assert result.sentence.startswith("status 200 in ")
    assert "TLS established: TLSv1.3, TLS_" in "\n".join(result.transcript)


def test_the_name_comes_from_host_or_else_the_address(authority: trustme.CA, ca_file: str) -> None:
    by_name, by_address = server_side(authority, NAME), server_side(authority, "127.0.0.1")
    with_host = HttpsOptions(ca=ca_file, host=f"{NAME}:8443")
    assert against(by_name, with_host).healthy
    assert against(by_address, HttpsOptions(ca=ca_file)).healthy
    assert not against(by_name, HttpsOptions(ca=ca_file)).healthy
    assert not against(by_address, with_host).healthy


def test_the_name_is_sent_as_sni(authority: trustme.CA, ca_file: str) -> None:
    seen: list[str | None] = []
    context = server_side(authority, NAME, "127.0.0.1")
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    against(context, HttpsOptions(ca=ca_file, server_name=NAME))
    against(context, HttpsOptions(ca=ca_file))
    assert seen == [NAME, None]  # an address is never sent as a name (RFC 6066 section 3)


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "sentence"),
    [
        (["other.example.org"], False, True, "certificate refused: Hostname mismatch, certificate"),
        ([NAME], True, True, "certificate refused: certificate has expired (TLS) after "),
        ([NAME], False, False, "certificate refused: unable to get local issuer certificate (TLS)"),
    ],
    ids=["wrong name", "expired", "unknown authority"],
)
def test_a_certificate_that_does_not_hold_fails_unless_told_not_to_look(
    authority: trustme.CA,
    ca_file: str,
    names: list[str],
    expired: bool,
    trusted: bool,
    sentence: str,
) -> None:
    context = server_side(authority, *names, expired=expired)
    options = HttpsOptions(ca=ca_file if trusted else None, server_name=NAME)
    result = against(context, options)
    assert (result.healthy, result.reason) == (False, Reason.TLS_CERTIFICATE)
    assert result.sentence.startswith(sentence)
    assert against(context, replace(options, verify=False, ca=None)).healthy


def test_a_self_signed_certificate_fails(ca_file: str) -> None:
    stranger = server_side(trustme.CA(), NAME)
    result = against(stranger, HttpsOptions(ca=ca_file, server_name=NAME))
    assert result.reason is Reason.TLS_CERTIFICATE


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.close()


async def talks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("handler", "reason", "sentence"),
    [
        (closes, Reason.TLS, "connection closed during the TLS handshake (TLS) after "),
        (talks_plainly, Reason.TLS, "TLS failed: wrong version number (TLS) after "),
        (servers.silent, Reason.TLS_TIMEOUT, "TLS handshake not finished (TLS) after "),
    ],
    ids=["closes", "plain", "silent"],
)
def test_a_server_without_tls_fails_in_tls(
    handler: servers.Handler, reason: Reason, sentence: str
) -> None:
    result = against(None, HttpsOptions(), handler, timeout_s=0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_a_server_that_demands_a_certificate_fails_in_tls(
    authority: trustme.CA, ca_file: str
) -> None:
    context = server_side(authority, NAME)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # By hand: asyncio's own server closes before the alert is sent.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):  # noqa: PT012
            while True:
                incoming.write(await reader.read(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    server.do_handshake()
                writer.write(outgoing.read())
        writer.write(outgoing.read())
        await writer.drain()

    result = against(None, HttpsOptions(ca=ca_file, server_name=NAME), handshake)
    assert (result.healthy, result.reason) == (False, Reason.TLS)
    assert "certificate required" in result.sentence


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (servers.silent, Reason.L7_TIMEOUT),
        (servers.answering(b""), Reason.L7_CLOSED),
        (servers.answering(b"rubbish\r\n\r\n"), Reason.L7_PROTOCOL),
        (servers.answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), Reason.L7_STATUS),
    ],
    ids=["silent", "closes", "garbage", "status"],
)
def test_failures_above_tls_are_those_of_http(
    authority: trustme.CA, ca_file: str, handler: servers.Handler, reason: Reason
) -> None:
    options = HttpsOptions(ca=ca_file, server_name=NAME)
    assert against(server_side(authority, NAME), options, handler, timeout_s=0.5).reason is reason


def test_a_large_body_is_read_as_far_as_it_is_wanted(authority: trustme.CA, ca_file: str) -> None:
    large = b"x" * 700_000 + b"needle"
    handler = servers.answering(b"HTTP/1.1 200 OK\r\n\r\n" + large)
    options = HttpsOptions(ca=ca_file, server_name=NAME, contains="needle", body_limit=1_000_000)
    assert against(server_side(authority, NAME), options, handler).healthy
    assert not against(
        server_side(authority, NAME), replace(options, body_limit=600_000), handler
    ).healthy


def test_certificates_that_cannot_be_read_are_our_fault(tmp_path: Path) -> None:
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    with pytest.raises(ProbeError, match=r"cannot read .*missing\.pem: No such file"):
        against(None, HttpsOptions(ca=str(missing)))
    with pytest.raises(ProbeError, match=r"cannot use the certificates in .*garbage\.pem"):
        against(None, HttpsOptions(ca=str(garbage)))


def test_a_renewed_authority_counts_at_the_next_probe(
    authority: trustme.CA, tmp_path: Path
) -> None:
    context = server_side(authority, NAME)
    file = tmp_path / "ca.pem"
    options = HttpsOptions(ca=str(file), server_name=NAME)
    trustme.CA().cert_pem.write_to_path(str(file))
    assert not against(context, options).healthy
    authority.cert_pem.write_to_path(str(file))
    os.utime(file, (1, 1))  # whatever the clock's grain, the time is another one
    assert against(context, options).healthy


def test_nginx_with_tls_passes(authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    require("nginx")
    certificate = authority.issue_cert(NAME)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    port = servers.free_port()
    more = f"""server {{
        listen 127.0.0.1:{port} ssl; server_name {NAME};
        ssl_certificate {tmp_path}/both.pem; ssl_certificate_key {tmp_path}/both.pem;
        location / {{ return 200 "over $ssl_protocol for $ssl_server_name"; }}
    }}"""
    with servers.nginx(tmp_path, more) as target:
        options = HttpsOptions(ca=ca_file, server_name=NAME, contains=f"for {NAME}", port=port)
        probing = options.make_probe().probe(replace(target, port=port), 5.0)
        assert asyncio.run(probing).sentence.startswith("status 200 in ")


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"ca": "/ca.pem", "verify": False}, "ca", "without `verify` no certificate is looked at"),
        ({"server_name": "a..b"}, "server_name", "no name that a certificate could hold"),
        ({"server_name": "müller.example"}, "server_name", "no name that"),
        ({"host": "a..b:80"}, "host", "no name that"),
        ({"path": "x"}, "path", "does not begin with a slash"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(HttpsOptions(), **change)  # type: ignore[arg-type]
    assert error.value.field == field


@pytest.mark.parametrize("name", ["2001:db8::1", "[2001:db8::1]", "10.0.0.1", "a.example."])
def test_addresses_and_names_are_both_good(name: str) -> None:
    HttpsOptions(server_name=name)
