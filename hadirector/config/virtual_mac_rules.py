"""What does not go together with virtual MACs.

The problem: each virtual MAC has an interface, and two of one name, or one that is called like a
real interface, fail on the director only. The approach: the names are compared as each director has
them (`RouterDraft.on`). As in `rules`: a value that is absent or reported passes over in silence.
"""

from __future__ import annotations

from hadirector.config.diagnostics import Rule
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings
from hadirector.config.pair_rules import priority_of
from hadirector.config.router_draft import RouterDraft
from hadirector.config.sections import FileDraft
from vrrp.packet import PRIORITY_OWNER
from vrrp.virtual_mac import default_name


def check_virtual_macs(top: FileDraft, findings: Findings) -> None:
    """Apply every rule, for each director."""
    for name in top.nodes or ("",):
        _duplicates(top, name, findings)
        for router in top.routers if top.nodes else ():
            _owner(top, router, name, findings)


def _duplicates(top: FileDraft, node: str, findings: Findings) -> None:
    """The interface of a virtual MAC is one of its own."""
    taken: dict[str, Draft] = {}
    for router in top.routers:
        interface = router.on(node).get("interface", str)
        if interface is not None:
            taken.setdefault(interface, router.draft)
    for router in top.routers:
        draft = router.on(node)
        device = _device(router, node)
        if device is None or device == draft.get("interface", str):
            continue  # the latter is reported with the value
        earlier = taken.setdefault(device, router.draft)
        if earlier is router.draft:
            continue
        key = "virtual_mac_name" if draft.get("virtual_mac_name", str) else "virtual_mac"
        findings.error(
            Rule.DUPLICATE_VIRTUAL_MAC,
            draft.at(key),
            path=draft.path_of(key),
            message=f"the interface {device} of its virtual MAC is another one's already",
            hint=f"see {earlier.node.place.seen_from(draft.at(key).place)}; write another"
            " virtual_mac_name",
        )


def _device(router: RouterDraft, node: str) -> str | None:
    """What the interface of a virtual MAC is called on a director; None: there is none."""
    draft = router.on(node)
    vrid, addresses = draft.get("vrid", int), draft.get("addresses", tuple)
    if not draft.get("virtual_mac", bool) or vrid is None or not addresses:
        return None
    return draft.get("virtual_mac_name", str) or default_name(vrid, addresses[0].version)


def _owner(top: FileDraft, router: RouterDraft, node: str, findings: Findings) -> None:
    """Who owns the addresses has them on its interface, with the hardware address of that."""
    draft = router.on(node)
    _, priority = priority_of(top, router, node)
    if draft.get("virtual_mac", bool) and priority == PRIORITY_OWNER:
        findings.error(
            Rule.VIRTUAL_MAC_OF_OWNER,
            draft.at("virtual_mac"),
            path=draft.path_of("virtual_mac"),
            message=f"{node} has priority 255, so the addresses are its own already",
            hint="write priority 254, or leave virtual_mac out",
        )
