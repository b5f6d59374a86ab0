"""The peer channel as the file says it: where each director listens, and what proves who it is.

The same file goes to both directors, so the paths may hold `{node}`, which stands for the name of
the director that reads them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hadirector.ipvs.model import Address

PORT: Final = 8849
"""Next to the port of the kernel's connection sync."""
CERTIFICATE: Final = "/etc/hadirector/peer/{node}.pem"
KEY: Final = "/etc/hadirector/peer/{node}.key"
WARM_PERCENT: Final = 95.0
HEALTH_MOVES: Final = 4
CA: Final = "/etc/hadirector/peer/ca.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The files of one director."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """The section resolved. `addresses` has both directors."""

    addresses: Mapping[str, Address]
    port: int = PORT
    certificate: str = CERTIFICATE
    key: str = KEY
    ca: str = CA
    warm_table: float = WARM_PERCENT
    """Percent of the peer's connections with which a returning director need not listen longer."""
    health_moves: int = HEALTH_MOVES
    """How often in an hour it may yield for reaching fewer servers; 0: never."""

    def material(self, node: str) -> Material:
        """The files of a director."""
        certificate, key, ca = (
            Path(text.replace("{node}", node)) for text in (self.certificate, self.key, self.ca)
        )
        return Material(certificate=certificate, key=key, ca=ca)

    def peer_of(self, node: str) -> str:
        """The other director."""
        return next(name for name in self.addresses if name != node)

    def dials(self, node: str) -> bool:
        """Whether this director opens the channel; the other one listens."""
        return node == min(self.addresses)
