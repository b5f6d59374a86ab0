"""What the directors of the pair must have in common, and what each must have for itself.

The problem: two directors that do not hear each other are both active, and nothing in either
section by itself is wrong. The approach: for each virtual router, the values as each director has
them (`RouterDraft.on`) are laid side by side, and where they would make two actives, the finding
names both places. As in `rules`: a value that is absent or reported passes over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations, permutations

from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Node
from hadirector.config.router_draft import RouterDraft
from hadirector.config.sections import FileDraft
from hadirector.config.service_rules import first_of, repeated
from hadirector.ipvs.model import Address
from hadirector.networks import networks
from vrrp.keys import HmacKey
from vrrp.packet import PRIORITY_OWNER


def check_pair(top: FileDraft, findings: Findings) -> None:
    """Apply every rule."""
    _duplicate_vrid(top, findings)
    _group_priority(top, findings)
    for router in top.routers:
        check_router(top, router, findings)


def check_router(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    """Apply the rules about one virtual router on the directors of `top`."""
    for rule in _RULES:
        rule(top, router, findings)


def address_of(node: Draft, name: str = "address") -> Address | None:
    """A director's own address; None if it is wrong."""
    return node.get(name, IPv4Address) or node.get(name, IPv6Address)


def networks_of(top: FileDraft) -> list[int]:
    """The number of each virtual router's network."""
    uses = []
    for router in top.routers:
        interfaces = {name: router.on(name).get("interface", str) for name in top.nodes or ("",)}
        uses.append({name: each for name, each in interfaces.items() if each is not None})
    return networks(uses)


def _duplicate_vrid(top: FileDraft, findings: Findings) -> None:
    """IPv4 and IPv6 each have VRIDs of their own (RFC 9568 section 1.3)."""
    items: list[tuple[Draft, str, tuple[int, int, int]]] = []
    for router, network in zip(top.routers, networks_of(top), strict=True):
        vrid, addresses = router.draft.get("vrid", int), router.draft.get("addresses", tuple)
        if vrid is not None and router.draft.get("interface", str) is not None and addresses:
            items.append((router.draft, "vrid", (vrid, network, addresses[0].version)))
    for draft, name, value, earlier in repeated(items):
        ours, theirs = draft.get("interface", str), earlier.get("interface", str)
        where = f"on interface {ours}"
        if ours != theirs:
            where = f"on one network, which some director calls {theirs} and another {ours}"
        findings.error(
            Rule.DUPLICATE_VRID,
            draft.at(name),
            path=draft.path_of(name),
            message=f"VRID {value[0]} is used twice {where}",
            hint=f"{first_of(earlier, draft, name)}; give each virtual router a VRID of its own",
        )


def priority_of(top: FileDraft, router: RouterDraft, name: str) -> tuple[Draft, int | None]:
    """A director's priority for a virtual router, and the section where it is written."""
    draft = router.on(name)
    if "priority" in draft.paths:
        return draft, draft.get("priority", int)
    return top.nodes[name], top.nodes[name].get("priority", int)


def _group_priority(top: FileDraft, findings: Findings) -> None:
    """Members of a group change together, so each director needs one priority for all of them."""
    first: dict[tuple[str, str], tuple[RouterDraft, Draft, int]] = {}
    for router in top.routers:
        group = router.draft.get("group", str)
        for name in top.nodes if group is not None else ():
            draft, priority = priority_of(top, router, name)
            if priority is None or group is None:
                continue
            other, at, known = first.setdefault((group, name), (router, draft, priority))
            if known == priority:
                continue
            if draft is top.nodes[name]:  # the earlier one differs from what holds for all
                draft, at = at, draft
            node = draft.at("priority")
            ours, theirs = router.draft.get("name", str), other.draft.get("name", str)
            findings.error(
                Rule.GROUP_PRIORITY,
                node,
                path=draft.path_of("priority"),
                message=f'in group "{group}", {name} has priority {known} for {theirs} and '
                f"{priority} for {ours}, but they change together",
                hint=f"the other is in {at.at('priority').place.seen_from(node.place)}; write one",
            )


def _two_actives(draft: Draft, name: str, other: Node, *, message: str, findings: Findings) -> None:
    """Report what would make two actives, with the place that it does not go with."""
    node = draft.at(name)
    findings.error(
        Rule.TWO_ACTIVES,
        node,
        path=draft.path_of(name),
        message=message,
        hint=f"compare {other.place.seen_from(node.place)}",
    )


def _peers(draft: Draft) -> tuple[Address, ...]:
    return draft.get("peers", tuple) or ()


def _lonely_peers(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    """Each director leaves itself out of the list, so the list has to name another one."""
    for name, node in top.nodes.items():
        draft = router.on(name)
        own = _source(top, router, name)
        if set(_peers(draft)) == {own or address_of(node)}:
            findings.error(
                Rule.LONELY_PEERS,
                draft.at("peers"),
                path=draft.path_of("peers"),
                message=f"{name} would have no peer but itself",
                hint="list the addresses of all directors; each leaves itself out",
            )


def _source(top: FileDraft, router: RouterDraft, name: str) -> Address | None:
    """Where a director surely speaks from; None: that is seen on its interface only."""
    written = address_of(router.on(name), "source")
    if written is not None:
        return written
    own = address_of(top.nodes[name])
    listed = {peer for other in top.nodes for peer in _peers(router.on(other))}
    inside = [a.network for a in router.draft.get("addresses", tuple) or () if a.version == 4]
    if own in listed or (own is not None and any(own in network for network in inside)):
        return own
    return None


def _unheard_peers(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    """By unicast, only those are heard that are in the list."""
    if router.made is None or any(own.made is None for own in router.own.values()):
        return  # reported; the list may be what is wrong
    for name, other in permutations(top.nodes, 2):
        ours, theirs = router.on(name), router.on(other)
        if not _peers(theirs):
            continue
        if not _peers(ours):
            message = f"{name} speaks by multicast, and {other} hears its peers only"
            _two_actives(theirs, "peers", ours.node, message=message, findings=findings)
            continue
        source = _source(top, router, name)
        if source is None or source in _peers(theirs):
            continue
        if set(_peers(theirs)) == {_source(top, router, other)}:
            continue  # it names nobody but itself; reported
        where = ours if "source" in ours.paths else top.nodes[name]
        node = where.at("source" if "source" in ours.paths else "address")
        message = f"{other} would not hear {name}, which speaks from {source}"
        _two_actives(theirs, "peers", node, message=message, findings=findings)


def _same_source(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    """A director takes what comes from its own address for its own."""
    virtual = {each.ip for each in router.draft.get("addresses", tuple) or ()}
    for name in top.nodes:
        draft = router.on(name)
        if "source" in draft.paths and address_of(draft, "source") in virtual:
            findings.error(
                Rule.DUPLICATE_VIP,
                draft.at("source"),
                path=draft.path_of("source"),
                message=f"{address_of(draft, 'source')} is a virtual address and cannot be "
                f"{name}'s own",
                hint="write an address that stays on its interface",
            )
    for name, other in combinations(top.nodes, 2):
        source = _source(top, router, name)
        pair = [(router.on(each), "source" in router.on(each).paths) for each in (name, other)]
        if source is None or source != _source(top, router, other) or not any(w for _, w in pair):
            continue
        draft = pair[1][0] if pair[1][1] else pair[0][0]
        rest = other if draft is pair[0][0] else name
        at = router.on(rest).at("source") if pair[0][1] and pair[1][1] else None
        message = f"{name} and {other} would both speak from {source}, and not hear each other"
        place = at or top.nodes[rest].at("address")
        _two_actives(draft, "source", place, message=message, findings=findings)


def _two_owners(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    """Only one can own the addresses (RFC 9568 section 5.2.4)."""
    owners = [
        (name, draft)
        for name in top.nodes
        for draft, priority in [priority_of(top, router, name)]
        if priority == PRIORITY_OWNER
    ]
    for (first, known), (name, draft) in combinations(owners, 2):
        message = f"{first} and {name} have priority 255: both would own the addresses"
        at = known.at("priority")
        _two_actives(draft, "priority", at, message=message, findings=findings)


def _keys(draft: Draft) -> tuple[HmacKey, ...]:
    return draft.get("hmac_keys", tuple) or ()


def _unknown_key(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    """What a director signs with, the others must be able to verify; no key is ever shown."""
    for name, other in permutations(top.nodes, 2):
        ours, theirs = router.on(name), router.on(other)
        if not _keys(theirs):
            continue
        if not _keys(ours):
            if theirs.get("hmac_required", bool):
                message = f"{name} has no keys, and {other} refuses what is not signed"
                _two_actives(theirs, "hmac_keys", ours.node, message=message, findings=findings)
        elif _keys(ours)[0] not in _keys(theirs):
            number = _keys(ours)[0].id
            another = any(key.id == number for key in _keys(theirs))
            what = f"another key {number}" if another else f"no key {number}"
            message = f"{other} has {what}, and with key {number} {name} signs"
            at = ours.at("hmac_keys")
            _two_actives(theirs, "hmac_keys", at, message=message, findings=findings)


def _same_priority(top: FileDraft, router: RouterDraft, findings: Findings) -> None:
    mine = any("priority" in router.on(name).paths for name in top.nodes)
    only = f" for {router.draft.get('name', str)}" if mine else ""
    for draft, name, value, _ in repeated(list(_priorities(top, router))):
        if value == PRIORITY_OWNER:
            continue  # an error of its own
        findings.warning(
            Rule.SAME_PRIORITY,
            draft.at(name),
            path=draft.path_of(name),
            message=f"two directors have priority {value}{only}",
            hint="the higher address would decide; write 254 and 253",
        )


def _priorities(top: FileDraft, router: RouterDraft) -> Iterator[tuple[Draft, str, int | None]]:
    for name in top.nodes:
        draft, value = priority_of(top, router, name)
        yield draft, "priority", value


_RULES: tuple[Callable[[FileDraft, RouterDraft, Findings], None], ...] = (
    _lonely_peers,
    _unheard_peers,
    _same_source,
    _two_owners,
    _unknown_key,
    _same_priority,
)
