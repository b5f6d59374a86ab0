"""The check `https`: the check `http` over TLS, with the certificate verified.

Failures below HTTP are told apart: no connection (L4), no TLS or a certificate that does not hold
(TLS), no proper answer (L7). What a certificate must fulfil is in `checkers.trust`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from checkers import trust
from checkers.base import OptionError, Probe
from checkers.http import HttpOptions, HttpProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsOptions(HttpOptions):
    """Options of the check `https`: those of `http` and these."""

    kind: ClassVar[str] = "https"

    verify: trust.Verify = True
    ca: trust.Authorities = None
    server_name: trust.ServerName = None
    certificate: trust.Certificate = None
    key: trust.Key = None
    days_left: trust.DaysLeft = None

    def __post_init__(self) -> None:
        HttpOptions.__post_init__(self)  # not super(): a class with slots is made twice
        trust.check_settings(self, self.host)

    def make_probe(self) -> Probe:
        """A probe over TLS."""
        return HttpProbe(self, trust.Client(self, self.host))

    @property
    def is_quick(self) -> bool:
        """Never: TLS takes a stream."""
        return False

    def problems_here(self) -> Iterator[OptionError]:
        """Files that are missing or hold no certificate."""
        return trust.unusable_files(self)
