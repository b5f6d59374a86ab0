"""What an advertisement tells about the peer's configuration that is not as ours.

The election goes on in spite of it (RFC 9568 section 7.1), but two directors that were configured
differently are the first step to a split brain nobody can explain, so it has to be said.

This module never changes the outcome of an election.
"""

from __future__ import annotations

from vrrp.config import RouterSettings
from vrrp.events import Differs, Heard


def own_address(settings: RouterSettings, heard: Heard) -> Differs:
    """Return the complaint that somebody else sends from our address."""
    return _differs(settings, heard, "own-address", "is our own address, and was heard from afar")


def differences(settings: RouterSettings, heard: Heard) -> list[Differs]:
    """Return how the sender's configuration differs from ours."""
    theirs, found = heard.advertisement, list[Differs]()
    if theirs.interval_cs != settings.interval_cs:
        text = f"advertises every {theirs.interval_cs * 10} ms, we {settings.interval_cs * 10} ms"
        found.append(_differs(settings, heard, "interval-differs", text))
    if set(theirs.addresses) != set(settings.plain_addresses):
        listed = " ".join(str(address) for address in theirs.addresses)
        text = f"has other virtual addresses: {listed}"
        found.append(_differs(settings, heard, "addresses-differ", text))
    return found


def _differs(settings: RouterSettings, heard: Heard, kind: str, text: str) -> Differs:
    sentence = f"{heard.source} {text} (VRID {settings.vrid})"
    return Differs(settings.name, kind, heard.source, sentence)
