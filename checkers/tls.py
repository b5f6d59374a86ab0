"""The check `tls`: does the server speak TLS, with a certificate that holds?

For services over TLS whose protocol has no kind of its own, and to be told in time of a certificate
that expires. Must never send a byte within the TLS connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from checkers import trust
from checkers.base import OptionError, Probe, Result, Target
from checkers.options import CheckOptions

if TYPE_CHECKING:
    from checkers.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions(CheckOptions):
    """Options of the check `tls`: which certificates hold."""

    kind: ClassVar[str] = "tls"

    verify: trust.Verify = True
    ca: trust.Authorities = None
    server_name: trust.ServerName = None
    certificate: trust.Certificate = None
    key: trust.Key = None
    days_left: trust.DaysLeft = None

    def __post_init__(self) -> None:
        trust.check_settings(self)

    def make_probe(self) -> Probe:
        """A probe that shakes hands and closes."""
        return TlsProbe(trust.Client(self))

    def problems_here(self) -> Iterator[OptionError]:
        """Files that are missing or hold no certificate."""
        return trust.unusable_files(self)


class TlsProbe:
    """Shakes hands and closes."""

    __slots__ = ("_client",)

    def __init__(self, client: trust.Client) -> None:
        self._client = client

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Shake hands once; raises ProbeError if that could not be tried."""
        from checkers.stream import converse

        return await converse(target, timeout_s, self._shake, keep_transcript=keep_transcript)

    async def _shake(self, stream: Stream) -> str:
        return await stream.secure(self._client)
