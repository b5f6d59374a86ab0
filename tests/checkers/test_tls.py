"""The check `tls`: handshakes that hold and those that do not."""

import asyncio
import contextlib
import datetime
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from checkers.base import OptionError, ProbeError, Reason, Result, Target
from checkers.tls import TlsOptions
from tests.checkers import servers

NAME = "mail.example.org"

pytestmark = pytest.mark.usefixtures("no_leak")


def server_side(authority: trustme.CA, *names: str, days: float = 30) -> ssl.SSLContext:
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=expires).configure_cert(context)
    return context


def against(
    tls: ssl.SSLContext | None,
    options: TlsOptions,
    handler: servers.Handler = servers.silent,
    timeout_s: float = 5.0,
) -> Result:
    async def main() -> Result:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with servers.serving(handler, tls) as target:
            return await options.make_probe().probe(target, timeout_s, keep_transcript=True)

    return asyncio.run(main())


def test_a_valid_certificate_passes_with_its_days(authority: trustme.CA, ca_file: str) -> None:
    options = TlsOptions(ca=ca_file, server_name=NAME, days_left=29)
    result = against(server_side(authority, NAME), options)
    assert result.sentence.startswith(
        "TLSv1.3 established, the certificate valid for 29 days more, in "
    )
    assert "TLS established: TLSv1.3, TLS_" in "\n".join(result.transcript)


def test_a_certificate_that_expires_soon_fails_where_asked(
    authority: trustme.CA, ca_file: str
) -> None:
    options = TlsOptions(ca=ca_file, server_name=NAME)
    context = server_side(authority, NAME, days=3)
    assert against(context, options).healthy
    result = against(context, replace(options, days_left=14))
    assert result.reason is Reason.TLS_CERTIFICATE
    assert result.sentence.startswith("the certificate expires in 2 days (")
    assert "expected 14 at least (TLS) after" in result.sentence


@pytest.mark.parametrize(
    ("names", "days", "trusted", "sentence"),
    [
        (["other.example"], 30, True, "certificate refused: Hostname mismatch"),
        ([NAME], -1, True, "certificate refused: certificate has expired"),
        ([NAME], 30, False, "certificate refused: unable to get local issuer certificate"),
    ],
    ids=["wrong name", "expired", "unknown authority"],
)
def test_a_certificate_that_does_not_hold_fails(
    authority: trustme.CA, ca_file: str, names: list[str], days: int, trusted: bool, sentence: str
) -> None:
    context = server_side(authority, *names, days=days)
    options = TlsOptions(ca=ca_file if trusted else None, server_name=NAME)
    result = against(context, options)
    assert (result.reason, result.sentence[: len(sentence)]) == (Reason.TLS_CERTIFICATE, sentence)
    unverified = against(context, TlsOptions(verify=False))
    assert unverified.sentence.startswith("TLSv1.3 established in ")


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.close()


async def talks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 hello\r\n")
    await asyncio.Event().wait()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()  # with unread data that is a reset


@pytest.mark.parametrize(
    ("handler", "reason", "sentence"),
    [
        (closes, Reason.TLS, "connection closed during the TLS handshake (TLS) after "),
        (resets, Reason.TLS, "connection "),
        (talks_plainly, Reason.TLS, "TLS failed: wrong version number (TLS) after "),
        (servers.silent, Reason.TLS_TIMEOUT, "TLS handshake not finished (TLS) after "),
    ],
    ids=["closes", "resets", "plain", "silent"],
)
def test_a_server_without_tls_fails_in_tls(
    handler: servers.Handler, reason: Reason, sentence: str
) -> None:
    result = against(None, TlsOptions(), handler, timeout_s=0.5)
    assert (result.reason, result.sentence[: len(sentence)]) == (reason, sentence)


def test_nobody_listens() -> None:
    target = Target(servers.LOOPBACK, servers.free_port())
    result = asyncio.run(TlsOptions().make_probe().probe(target, 2.0))
    assert result.reason is Reason.L4_REFUSED


def test_our_own_certificate_is_shown_to_those_who_ask(
    authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    ours = authority.issue_cert("director.example.org")
    certificate, key = tmp_path / "ours.pem", tmp_path / "ours.key"
    ours.cert_chain_pems[0].write_to_path(str(certificate))
    ours.private_key_pem.write_to_path(str(key))
    context = server_side(authority, NAME)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    seen: list[object] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert")["subjectAltName"])
        with contextlib.suppress(ConnectionError):
            await reader.read()

    options = TlsOptions(ca=ca_file, server_name=NAME, certificate=str(certificate), key=str(key))
    assert against(context, options, handle).healthy
    assert list(options.problems_here()) == []


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"days_left": 3, "verify": False}, "days_left", "without `verify`"),
        ({"ca": "/ca.pem", "verify": False}, "ca", "without `verify`"),
        ({"key": "/key.pem"}, "key", "without a `certificate`|of no use without"),
        ({"server_name": "a..b"}, "server_name", "no name that a certificate"),
    ],
)
def test_options_that_cannot_work_name_their_field(
    change: dict[str, object], field: str, sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence) as error:
        replace(TlsOptions(), **change)  # type: ignore[arg-type]
    assert error.value.field == field


def test_files_that_cannot_be_used_are_told_when_read_and_are_our_fault_when_probed(
    authority: trustme.CA, tmp_path: Path
) -> None:
    garbage, bare = tmp_path / "garbage.pem", tmp_path / "bare.pem"
    garbage.write_text("no certificate")
    authority.issue_cert(NAME).cert_chain_pems[0].write_to_path(str(bare))
    cases = [
        (TlsOptions(ca=str(tmp_path / "gone")), "ca", "cannot read .*gone"),
        (TlsOptions(ca=str(tmp_path)), "ca", "cannot (read|use)"),
        (TlsOptions(ca=str(garbage)), "ca", "certificates"),
        (TlsOptions(certificate=str(tmp_path / "gone")), "certificate", "cannot read .*gone"),
        (TlsOptions(certificate=str(bare)), "certificate", "cannot use"),
    ]
    for options, field, sentence in cases:
        (problem,) = options.problems_here()
        assert problem.field == field
        with pytest.raises(ProbeError, match=sentence):
            against(None, options)
