"""Who is speaking on a network, and what about it looks wrong.

One packet can be right and the network wrong all the same: two routers active at once, directors
with different intervals, a VRID that two clusters use. That shows only when the speakers are seen
together. Each packet that was heard goes in, and what is worth a line for a person comes out: a new
speaker, a change, a goodbye, a silence, a fault, each of them once.

This module never reads a clock and never does I/O. What it remembers is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vrrp.dissect import Dissection, priority_in_words
from vrrp.packet import PRIORITY_LEAVING, ChecksumForm, IPAddress

SPEAKERS_MAX: Final = 1024
"""Senders and VRIDs remembered; on a network with more than that, somebody is forging."""

Key = tuple[IPAddress, int]


@dataclass(slots=True)
class Speaker:
    """One sender of advertisements for one VRID."""

    source: IPAddress
    vrid: int
    said: Dissection
    since: float
    """Active without a break since then (seconds)."""
    last: float
    packets: int = 1
    leaving: bool = False
    silent: bool = False
    told: set[str] = field(default_factory=set)

    @property
    def interval_s(self) -> float:
        """What it says its interval is, in seconds."""
        return (self.said.interval_cs or 0) / 100

    @property
    def active(self) -> bool:
        """Whether it is still speaking, as far as can be heard."""
        return not (self.leaving or self.silent)


class Speakers:
    """All that were heard on one network."""

    def __init__(self) -> None:
        self.known: dict[Key, Speaker] = {}
        self.forgotten = 0
        """Packets of speakers beyond the bound."""
        self._told: set[str] = set()

    def hear(self, said: Dissection, at: float) -> list[str]:
        """Take in a packet heard at a time (seconds); return what is worth telling."""
        if said.source is None or said.vrid is None:
            return self._once(f"a packet that is no advertisement: {'; '.join(said.problems)}")
        key = said.source, said.vrid
        speaker = self.known.get(key)
        lines = self.silences(at)
        if speaker is None:
            if len(self.known) >= SPEAKERS_MAX:
                self.forgotten += 1
                return lines
            speaker = self.known[key] = Speaker(*key, said, at, at)
            speaker.leaving = said.priority == PRIORITY_LEAVING
            lines.append(f"{_who(speaker)}: {describe(said)}")
        else:
            lines += _note(speaker, said, at)
        fresh = [problem for problem in said.problems if problem not in speaker.told]
        speaker.told.update(fresh[:8])
        lines += [f"{_who(speaker)}: WRONG: {problem}" for problem in fresh]
        return lines + self._together(speaker, at)

    def silences(self, at: float) -> list[str]:
        """Return who has fallen silent by this time without a goodbye."""
        lines = []
        for speaker in self.known.values():
            patience_s = 4 * (speaker.interval_s or 1.0)
            if speaker.active and at - speaker.last > patience_s:
                speaker.silent = True
                lines.append(f"{_who(speaker)}: silent for more than {patience_s:g} s")
        return lines

    def _together(self, speaker: Speaker, at: float) -> list[str]:
        """Compare a speaker with the others."""
        lines: list[str] = []
        for other in self.known.values():
            if other is speaker or other.source.version != speaker.source.version:
                continue
            if other.vrid == speaker.vrid:
                lines += self._same_router(speaker, other, at)
            elif shared := set(speaker.said.addresses) & set(other.said.addresses):
                pair = " and ".join(sorted(map(str, (speaker.vrid, other.vrid))))
                lines += self._once(f"WRONG: {min(shared)} is in VRID {pair}")
        return lines

    def _same_router(self, speaker: Speaker, other: Speaker, at: float) -> list[str]:
        pair = " and ".join(sorted((str(speaker.source), str(other.source))))
        about = f"VRID {speaker.vrid}: {pair}"
        lines: list[str] = []
        began = max(speaker.since, other.since)
        overlap_s = 2 * max(speaker.interval_s, other.interval_s)
        if speaker.active and other.active and at - began > overlap_s:
            text = f"WRONG: {about} are both active: they do not hear or do not accept each other"
            lines += self._once(text)
        mine, theirs = _traits(speaker.said), _traits(other.said)
        for what in mine:
            if mine[what] != theirs[what]:
                text = f"WRONG: {about} differ in {what}: {mine[what]}, {theirs[what]}"
                lines += self._once(text, f"{about} {what}")
        return lines

    def _once(self, sentence: str, key: str | None = None) -> list[str]:
        if (key or sentence) in self._told or len(self._told) >= SPEAKERS_MAX:
            return []
        self._told.add(key or sentence)
        return [sentence]


def describe(said: Dissection) -> str:
    """Return what a packet says, in one line."""
    interval = "?" if said.interval_cs is None else f"{said.interval_cs * 10} ms"
    parts = [
        f"version {said.version}",
        f"priority {priority_in_words(said.priority or 0)}",
        f"every {interval}",
        f"checksum {_form(said)}",
        f"addresses {' '.join(map(str, said.addresses)) or 'none'}",
    ]
    if said.authentication != "none":
        parts.append(f"with {said.authentication}")
    if said.hardware is not None:
        parts.append(f"from {'virtual MAC ' if said.virtual_mac_of else ''}{said.hardware}")
    return ", ".join(parts)


def _note(speaker: Speaker, said: Dissection, at: float) -> list[str]:
    """Enter another packet of a known speaker; return what is new about it."""
    before, was_active = speaker.said, speaker.active
    speaker.said, speaker.last, speaker.silent = said, at, False
    speaker.packets += 1
    speaker.leaving = said.priority == PRIORITY_LEAVING
    if speaker.leaving:
        return [f"{_who(speaker)}: leaves (priority 0)"] if was_active else []
    if not was_active:
        speaker.since = at
        return [f"{_who(speaker)}: speaks again, {describe(said)}"]
    old, new = _traits(before), _traits(said)
    old["priority"], new["priority"] = str(before.priority), str(said.priority)
    return [
        f"{_who(speaker)}: {what} is {new[what]} now, was {old[what]}"
        for what in new
        if new[what] != old[what]
    ]


def _traits(said: Dissection) -> dict[str, str]:
    """What two directors of one virtual router should have in common."""
    return {
        "version": str(said.version),
        "interval": "?" if said.interval_cs is None else f"{said.interval_cs * 10} ms",
        "addresses": " ".join(sorted(map(str, said.addresses))),
        "checksum form": _form(said),
        "authentication": said.authentication,
    }


def _form(said: Dissection) -> str:
    if said.form is None:
        return "wrong"
    return "without pseudo-header" if said.form is ChecksumForm.PLAIN else "with pseudo-header"


def _who(speaker: Speaker) -> str:
    return f"VRID {speaker.vrid} {speaker.source}"
