"""What `hadirector doctor` finds of the peer channel: the files here, and the way to the peer.

Nothing is changed. The director that listens cannot try the way: it is the other one that dials.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from hadirector.peer.material import shortcomings
from hadirector.peer.settings import PeerSettings

DIAL_S: Final = 2.0


def material_findings(
    settings: PeerSettings, node: str, *, now: datetime
) -> Iterator[tuple[bool, str, str]]:
    """Say of the certificates: whether it stands in the way, a sentence, and a remedy."""
    for fatal, sentence in shortcomings(settings.material(node), node, now=now):
        message, _, remedy = sentence.partition("; ")
        yield fatal, message, remedy or "make all of it anew: hadirector peer init FILE"


def unreachable(settings: PeerSettings, node: str) -> str:
    """Why the peer cannot be dialled; empty: somebody listens there, or it is it who dials."""
    if not settings.dials(node):
        return ""
    address = settings.addresses[settings.peer_of(node)]
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family) as knock:
        knock.settimeout(DIAL_S)
        try:
            knock.connect((str(address), settings.port))
        except OSError as error:
            return f"{address} port {settings.port}: {error.strerror or error}"
    return ""
