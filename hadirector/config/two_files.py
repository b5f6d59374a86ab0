"""Two files that two directors of one pair run: do they make two actives?

The problem: the same file is meant for both directors, and is compared with itself when it is read.
But one director may still have last week's, or each a file of its own; each is valid, and together
they take every client's traffic twice. The approach: a virtual router of one file is laid beside
the same one of the other (of the same name, else of the same VRID, else with an address of it), its
keys that must agree are compared, and the rules for a pair (`pair_rules`) are applied to a director
of the one file and a director of the other as if both stood in one.

Never: a finding about one file alone; each has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hadirector.config.diagnostics import Diagnostic, Rule, Severity, render
from hadirector.config.draft import Draft
from hadirector.config.loader import Loaded, read
from hadirector.config.nodes import Findings
from hadirector.config.own_shape import MUST_AGREE
from hadirector.config.pair_rules import check_router
from hadirector.config.router_draft import OwnDraft, RouterDraft
from hadirector.config.sections import FileDraft
from hadirector.garbage import without_collection
from vrrp.config import RouterSettings

_SECRET = frozenset({"password"})
_SHOWN_MAX = 60
"""Characters of a value in a message: a list of 255 addresses is no sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLoaded:
    """What came of two files: of each by itself, and of both together."""

    ours: Loaded
    theirs: Loaded
    together: tuple[Diagnostic, ...]

    @property
    def valid(self) -> bool:
        """Whether neither file is refused, nor the two as a pair."""
        loaded = self.ours.config is not None and self.theirs.config is not None
        return loaded and all(each.severity is not Severity.ERROR for each in self.together)

    def render(self) -> str:
        """What is wrong between the two, for people."""
        return render(self.together, {**self.theirs.sources, **self.ours.sources})


def load_two(ours: Path, theirs: Path, node: str | None = None) -> PairLoaded:
    """Read and check two files and the pair they make.

    `node` is the director that has the first file, if that is known; else it may be any of those
    that the file names. The other file is for any other director.
    """
    with without_collection():
        readings = [read(ours), read(theirs)]
        loaded = [reading.loaded() for reading in readings]
    findings = Findings()
    mine, peer = readings[0].top, readings[1].top
    sound = all(reading.config is not None for reading in readings)
    if mine is not None and peer is not None and sound and node in (None, *mine.nodes):
        compare(mine, peer, findings, node=node)
    return PairLoaded(ours=loaded[0], theirs=loaded[1], together=tuple(findings))


def compare(
    ours: FileDraft, theirs: FileDraft, findings: Findings, *, node: str | None = None
) -> None:
    """Report what would make two actives, or leave a virtual router without a second director."""
    for mine, peer in _matched(ours.routers, theirs.routers):
        if mine is None or peer is None:
            lonely = mine or peer
            assert lonely is not None
            _report_lonely(lonely.draft, ours if mine is None else theirs, findings)
            continue
        _must_agree(mine.draft, peer.draft, findings)
        for name in ours.nodes if node is None else (node,):
            for other in theirs.nodes:
                if other != name:
                    check_router(*_as_one(ours, theirs, mine, peer, (name, other)), findings)


def _matched(
    ours: Iterable[RouterDraft], theirs: Iterable[RouterDraft]
) -> Iterator[tuple[RouterDraft | None, RouterDraft | None]]:
    """Each virtual router with what the other file means by it; None: nothing."""
    mine, left = list(ours), list(theirs)
    found: dict[int, RouterDraft] = {}
    for same in (_same_name, _same_vrid, _same_address):
        for index, router in enumerate(mine):
            peer = next((each for each in left if same(router.draft, each.draft)), None)
            if index not in found and peer is not None:
                found[index] = peer
                left.remove(peer)
    for index, router in enumerate(mine):
        yield router, found.get(index)
    for peer in left:
        yield None, peer


def _same_name(one: Draft, other: Draft) -> bool:
    return one.values["name"] == other.values["name"]


def _same_vrid(one: Draft, other: Draft) -> bool:
    same = one.values["vrid"] == other.values["vrid"]
    return same and _family(one) == _family(other)


def _same_address(one: Draft, other: Draft) -> bool:
    return not _plain(one).isdisjoint(_plain(other))


def _family(draft: Draft) -> int:
    version = (draft.get("addresses", tuple) or ())[0].version
    assert isinstance(version, int)
    return version


def _plain(draft: Draft) -> frozenset[object]:
    listed = (draft.get(name, tuple) or () for name in ("addresses", "excluded"))
    return frozenset(address.ip for addresses in listed for address in addresses)


def _report_lonely(draft: Draft, other: FileDraft, findings: Findings) -> None:
    findings.warning(
        Rule.NO_PEER,
        draft.at("name"),
        path=draft.path_of("name"),
        message=f'"{draft.values["name"]}" is not in {other.draft.node.place.file}: there is nobody'
        " to take over from this director",
        hint="write the same file to both directors",
    )


def _must_agree(ours: Draft, theirs: Draft, findings: Findings) -> None:
    for key, why in MUST_AGREE.items():
        mine, peer = ours.values.get(key), theirs.values.get(key)
        if mine == peer:
            continue
        node, there = ours.at(key), theirs.at(key).place
        what = "another" if key in _SECRET else f"{_shown(peer)}, not {_shown(mine)},"
        findings.error(
            Rule.TWO_ACTIVES,
            node,
            path=ours.path_of(key),
            message=f'the other director has {what} as "{key}" of {theirs.values["name"]}: {why}',
            hint=f"compare {there.seen_from(node.place)}; write the same for both",
        )


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _as_one(
    ours: FileDraft,
    theirs: FileDraft,
    mine: RouterDraft,
    peer: RouterDraft,
    names: tuple[str, str],
) -> tuple[FileDraft, RouterDraft]:
    """A file that says what the two say, each for its own director."""
    name, other = names
    own = {name: _on(mine, ours, name), other: _on(peer, theirs, other)}
    router = RouterDraft(mine.draft, mine.made, own)
    nodes = {name: ours.nodes[name], other: theirs.nodes[other]}
    return FileDraft(ours.draft, nodes, [router]), router


def _on(router: RouterDraft, top: FileDraft, name: str) -> OwnDraft:
    if name in router.own:
        return router.own[name]
    priority = top.nodes[name].get("priority", int)
    assert router.made is not None  # both files are valid
    assert priority is not None
    return OwnDraft(router.draft, RouterSettings.of(router.made, priority=priority))
