"""What proves to one director that the other one is who it says: a private authority of the pair.

The problem: a channel over which one director believes the other must be closed to everybody else,
and nobody sets up an authority by hand for two hosts. The approach: `make` creates an authority,
one certificate and key for each director, and forgets the authority's key at once: nobody, not
even who made it, can add a third member; renewing is making all of it anew. `trouble` says
what is wrong with what is there, before a handshake fails with words of OpenSSL.

Never: a private key that others may read, written or accepted.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hadirector.peer.settings import Material

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

YEARS_VALID: Final = 10
SOON_S: Final = 30 * 86400.0
"""A certificate that ends within this is worth a word."""
_BACKDATED: Final = timedelta(days=1)
"""The clock of a host that has just booted may be wrong by hours."""


class MaterialError(Exception):
    """Certificates or keys that cannot be used; the sentence says which and why."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        """Both parts in one line."""
        return f"{self.args[0]}; {self.remedy}"


INIT: Final = "make it with: hadirector peer init FILE"


def make(nodes: Iterable[str], directory: Path, *, now: datetime) -> list[Path]:
    """Write `ca.pem`, and NODE.pem and NODE.key for each director; returns what was written.

    Raises MaterialError where something is there already or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    names = list(nodes)
    wanted = ["ca.pem", *(f"{name}.{kind}" for name in names for kind in ("pem", "key"))]
    there = [directory / name for name in wanted if (directory / name).exists()]
    if there:
        remedy = "a pair trusts one authority: remove all of it to make it anew"
        raise MaterialError(f"{there[0]} is there already", remedy)
    authority = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("hadirector peer authority", authority, None, authority, now=now)
    written = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            key = ec.generate_private_key(ec.SECP256R1())
            signed = _certificate(name, key, root, authority, now=now)
            written.append(_write(directory / f"{name}.key", _pem_of_key(key), 0o600))
            written.append(_write(directory / f"{name}.pem", _pem(signed), 0o644))
        written.append(_write(directory / "ca.pem", _pem(root), 0o644))
    except OSError as error:
        remedy = "run it where you may write, or name another directory with --out"
        raise MaterialError(f"{directory}: {error.strerror}", remedy) from error
    return written


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    signer: EllipticCurvePrivateKey,
    *,
    now: datetime,
) -> x509.Certificate:
    """Of an authority where there is no issuer, else of a director."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    is_authority = issuer is None
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=365 * YEARS_VALID))
        .add_extension(
            x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None),
            critical=True,
        )
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not is_authority:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _pem_of_key(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> Path:
    """Write a file that was never readable for more than `mode` says."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def contexts(material: Material, *, listens: bool) -> ssl.SSLContext:
    """Return what a handshake goes by: TLS 1.3, both sides with a certificate of the authority.

    Raises MaterialError.
    """
    for path in (material.ca, material.certificate, material.key):
        _must_be_readable(path)
    mode = material.key.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MaterialError(
            f"{material.key} may be read by others (mode {stat.S_IMODE(mode):04o})",
            f"chmod 600 {material.key}",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # names of directors need not be host names: `names_in`
    context.verify_mode = ssl.CERT_REQUIRED
    if listens:
        context.num_tickets = 0  # nothing is resumed
    try:
        context.load_verify_locations(cafile=material.ca)
    except (ssl.SSLError, ValueError) as error:
        raise MaterialError(f"{material.ca} is no certificate", INIT) from error
    try:
        context.load_cert_chain(material.certificate, material.key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise MaterialError(
            f"{material.certificate} and {material.key} do not belong together, or one of them "
            "cannot be read as PEM",
            INIT,
        ) from error
    return context


def _must_be_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise MaterialError(f"{path}: {error.strerror}", INIT) from error


def _no_password() -> bytes:
    raise ValueError("a key with a password cannot be used by a daemon")


def names_in(certificate: object) -> list[str]:
    """The names in a certificate that was verified, as `getpeercert` returns it."""
    names = certificate.get("subjectAltName", ()) if isinstance(certificate, dict) else ()
    return [value for kind, value in names if kind == "DNS"]


def shortcomings(material: Material, node: str, *, now: datetime) -> Iterator[tuple[bool, str]]:
    """Say what is wrong with a director's files: whether it stands in the way, and a sentence."""
    from cryptography import x509

    try:
        contexts(material, listens=True)
    except MaterialError as error:
        yield True, str(error)
        return
    for path in (material.certificate, material.ca):
        one = x509.load_pem_x509_certificate(path.read_bytes())
        ends = one.not_valid_after_utc
        if not one.not_valid_before_utc <= now <= ends:
            yield True, f"{path} is valid from {one.not_valid_before_utc} to {ends} only"
        elif (ends - now).total_seconds() < SOON_S:
            yield False, f"{path} ends in {(ends - now).days} days, on {ends:%Y-%m-%d}"
        if path == material.certificate and node not in _dns_names(one):
            yield True, f"{path} has not the name {node} in it"
    chain = x509.load_pem_x509_certificates(material.certificate.read_bytes())
    trusted = x509.load_pem_x509_certificates(material.ca.read_bytes())
    if not any(_issued(one, chain[-1]) for one in trusted):
        yield True, f"{material.certificate} was not issued by the authority in {material.ca}"


def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):  # names, kinds of key, or signature differ
        return False
    return True


def _dns_names(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.DNSName)


def utc_now() -> datetime:
    """The time by which certificates are judged."""
    return datetime.now(UTC)
