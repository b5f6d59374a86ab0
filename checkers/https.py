"""The check `https`: the check `http` over TLS, with the certificate verified.

A client refuses a server whose certificate is expired, for another name or from an unknown
authority; so the check does. Failures below HTTP are told apart: no connection (L4), no TLS or a
certificate that does not hold (TLS), no proper answer (L7).

Must never read the trusted certificates again for every probe: contexts are shared by all checks
with the same settings, and made anew when the file changes.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import MaxLen, MinLen, doc

from checkers import limits
from checkers.base import OptionError, Probe, ProbeError, Target
from checkers.http import HttpOptions, HttpProbe

if TYPE_CHECKING:
    import ssl

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsOptions(HttpOptions):
    """Options of the check `https`: those of `http` and these."""

    kind: ClassVar[str] = "https"

    verify: Annotated[
        bool,
        doc("Whether the certificate must be valid, for the right name, from a trusted authority."),
    ] = True
    ca: Annotated[
        Annotated[str, MinLen(1), MaxLen(4096)] | None,
        doc("File with the trusted authorities' certificates (PEM); else those of this system."),
    ] = None
    server_name: Annotated[
        Annotated[str, MinLen(1), MaxLen(255)] | None,
        doc(
            "The name asked for (SNI) and to be proven by the certificate; else that of `host`, "
            "else the server's address."
        ),
    ] = None

    def __post_init__(self) -> None:
        HttpOptions.__post_init__(self)  # not super(): a class with slots is made twice
        if self.ca is not None and not self.verify:
            raise OptionError("ca", "without `verify` no certificate is looked at")
        for field in ("server_name", "host"):
            written = getattr(self, field)
            if written is not None and not _is_name(_without_port(written)):
                raise OptionError(field, f"{written!r} is no name that a certificate could hold")

    def make_probe(self) -> Probe:
        """A probe over TLS."""
        return HttpProbe(self, _Client(self))


class _Client:
    """The TLS side of one check (`checkers.http.Tls`)."""

    __slots__ = ("_options",)

    def __init__(self, options: HttpsOptions) -> None:
        self._options = options

    def context(self) -> ssl.SSLContext:
        file, changed_ns = self._options.ca, 0
        if file is not None:
            try:
                changed_ns = os.stat(file).st_mtime_ns  # noqa: PTH116 - a path object per probe
            except OSError as error:
                raise ProbeError(f"cannot read {file}: {error.strerror}") from error
        return _context(file, self._options.verify, changed_ns)

    def name(self, target: Target) -> str:
        if self._options.server_name is not None:
            return _without_port(self._options.server_name)
        if self._options.host is not None:
            return _without_port(self._options.host)
        return target.host


def _without_port(host: str) -> str:
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


@functools.lru_cache(maxsize=limits.TLS_CONTEXTS_MAX)
def _context(ca: str | None, verify: bool, _changed_ns: int) -> ssl.SSLContext:
    """Settings for one set of trusted certificates; the file's time makes a renewed one count."""
    import ssl  # here and not above: only a probe needs it

    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError: not PEM, no certificate
        raise ProbeError(f"cannot use the certificates in {ca}: {error}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
