"""The TLS side of a check: whom to trust, who the server must be, and who we are.

The problem: several kinds of checks speak TLS and must verify certificates in the same way, while
reading the trusted authorities takes longer than a whole probe. The approach: each kind declares
the same options with the annotations below; `Client` turns them into an `ssl.SSLContext`, which all
checks with the same files share and which is made anew when a file changes.

A client refuses a server whose certificate is expired, for another name or from an unknown
authority; so the checks do. Must never read the files again for every probe, and never import `ssl`
where only a configuration is read.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Annotated, Protocol

from annotated_types import Ge, Le, MaxLen, MinLen, doc

from checkers import limits
from checkers.base import OptionError, ProbeError, Reason, Target
from checkers.recording import Failure, Recording

if TYPE_CHECKING:
    import ssl

File = Annotated[str, MinLen(1), MaxLen(4096)]

Verify = Annotated[
    bool,
    doc("Whether the certificate must be valid, for the right name, from a trusted authority."),
]
Authorities = Annotated[
    File | None,
    doc("File with the trusted authorities' certificates (PEM); else those of this system."),
]
ServerName = Annotated[
    Annotated[str, MinLen(1), MaxLen(255)] | None,
    doc(
        "The name asked for (SNI) and to be proven by the certificate; else that of `host` (where "
        "the kind has it), else the server's address."
    ),
]
Certificate = Annotated[
    File | None,
    doc("File with our own certificate (PEM), for servers that want one of their clients."),
]
Key = Annotated[
    File | None, doc("File with our own key (PEM, no passphrase); else it is in `certificate`.")
]
DaysLeft = Annotated[
    Annotated[int, Ge(0), Le(3650)] | None,
    doc("Fail if the server's certificate expires within fewer days than this."),
]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_DAY_S = 86400


class Settings(Protocol):
    """The options of a kind that speaks TLS."""

    @property
    def verify(self) -> bool:
        """Option `verify`."""

    @property
    def ca(self) -> str | None:
        """Option `ca`."""

    @property
    def server_name(self) -> str | None:
        """Option `server_name`."""

    @property
    def certificate(self) -> str | None:
        """Option `certificate`."""

    @property
    def key(self) -> str | None:
        """Option `key`."""

    @property
    def days_left(self) -> int | None:
        """Option `days_left`."""


def check_settings(settings: Settings, host: str | None = None) -> None:
    """Raise OptionError for options that cannot work together."""
    if settings.ca is not None and not settings.verify:
        raise OptionError("ca", "without `verify` no certificate is looked at")
    if settings.days_left is not None and not settings.verify:
        raise OptionError("days_left", "without `verify` no certificate is looked at")
    if settings.key is not None and settings.certificate is None:
        raise OptionError("key", "a key is of no use without a `certificate`")
    for field, written in (("server_name", settings.server_name), ("host", host)):
        if written is not None and not _is_name(without_port(written)):
            raise OptionError(field, f"{written!r} is no name that a certificate could hold")


def unusable_files(settings: Settings) -> Iterator[OptionError]:
    """What is wrong with the files named, as far as this host and user can tell."""
    import ssl

    for field in ("ca", "certificate", "key"):
        file = getattr(settings, field)
        if file is not None and (sentence := unreadable(file)) is not None:
            yield OptionError(field, sentence)
            return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if settings.ca is not None and os.access(settings.ca, os.R_OK):
            context.load_verify_locations(settings.ca)
    except (OSError, ValueError) as error:
        yield OptionError("ca", f"no certificates (PEM) in {settings.ca}: {error}")
    if settings.certificate is None:
        return
    if not all(os.access(file, os.R_OK) for file in (settings.certificate, settings.key) if file):
        return
    try:
        context.load_cert_chain(settings.certificate, settings.key, _no_passphrase)
    except (OSError, ValueError) as error:
        yield OptionError("certificate", f"cannot use {settings.certificate}: {error}")


def unreadable(file: str) -> str | None:
    """Why a file cannot be read; None if it can, or if only another user could tell."""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - read, not built upon
            opened.read(1)
    except PermissionError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"cannot read {file}: {(reason or str(error)).lower()}"
    return None


class Client:
    """Our side of TLS for one check."""

    __slots__ = ("_alpn", "_host", "_settings")

    def __init__(
        self, settings: Settings, host: str | None = None, *, alpn: tuple[str, ...] = ()
    ) -> None:
        self._settings = settings
        self._host = host
        self._alpn = alpn

    def context(self) -> ssl.SSLContext:
        """Settings for one connection. Raises ProbeError if a file cannot be used."""
        settings = self._settings
        files = (settings.ca, settings.certificate, settings.key)
        return _context(files, settings.verify, self._alpn, tuple(map(_changed_ns, files)))

    def name(self, target: Target) -> str:
        """The name that the server must prove to have."""
        written = self._settings.server_name or self._host
        return target.host if written is None else without_port(written)

    def judge(self, certificate: object, recording: Recording) -> int | None:
        """Days left of the certificate, as `SSLObject.getpeercert` gives it; None if not asked.

        Raises Failure if they are fewer than the settings want.
        """
        import ssl

        wanted = self._settings.days_left
        if not self._settings.verify or not isinstance(certificate, dict):
            return None
        expires = str(certificate.get("notAfter", ""))
        left = int((ssl.cert_time_to_seconds(expires) - time.time()) // _DAY_S)
        recording.note("the certificate is valid until %s (%s days)", expires, left)
        if wanted is not None and left < wanted:
            raise Failure(
                Reason.TLS_CERTIFICATE,
                f"the certificate expires in {left} days ({expires}), expected {wanted} at least",
            )
        return left


def without_port(host: str) -> str:
    """`www.example.org` of `www.example.org:8443`, `2001:db8::1` of `[2001:db8::1]:8443`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _is_name(name: str) -> bool:
    """Whether TLS can ask for it: an address, or a name in ASCII (xn--… for others)."""
    if ":" in name:
        try:
            return IPv6Address(name).scope_id is None
        except ValueError:
            return False
    return _NAME.fullmatch(name) is not None


def _changed_ns(file: str | None) -> int:
    if file is None:
        return 0
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 - a path object per probe
    except OSError as error:
        raise ProbeError(f"cannot read {file}: {error.strerror}") from error


@functools.lru_cache(maxsize=limits.TLS_CONTEXTS_MAX)
def _context(
    files: tuple[str | None, str | None, str | None],
    verify: bool,
    alpn: tuple[str, ...],
    _changed: tuple[int, ...],
) -> ssl.SSLContext:
    """One context for these files; their times make renewed ones count."""
    import ssl  # here and not above: only a probe needs it

    ca, certificate, key = files
    try:
        context = ssl.create_default_context(cafile=ca)
        if ca is None:
            check_descriptors()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError: not PEM, no certificate
        raise ProbeError(f"cannot use the certificates in {ca}: {error}") from error
    if alpn:
        context.set_alpn_protocols(alpn)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, _no_passphrase)
        except (OSError, ValueError) as error:
            raise ProbeError(f"cannot use our certificate in {certificate}: {error}") from error
    return context


def check_descriptors() -> None:
    """Raise ProbeError where no file can be opened, before a certificate is called untrusted.

    OpenSSL reads the system's authorities when it needs them, and takes those that it cannot open
    for absent ones.
    """
    from checkers.way import not_made

    try:
        os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise not_made("the system's certificates cannot be read", error) from error


def _no_passphrase() -> str:
    """Asked for a passphrase, OpenSSL would wait at the terminal."""
    raise ValueError("the key has a passphrase")
