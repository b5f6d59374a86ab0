"""What does not go together, although each value by itself is right.

The problem: most mistakes that take a service down are two right values that contradict each other.
The approach: each rule is one function over the drafts, named for what it finds; a value that is
absent or was reported already is None there and passes over in silence, so all rules run in every
file, however broken. Rules report only what is certain: errors for what cannot work, warnings for
what is legal but surely not meant. They never change a value.

A rule that compares services with one another must think of `FileDraft.others`, too, or be asked
again in `again`, which reads only the services that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hadirector.config.addresses import format_listen
from hadirector.config.balancing_rules import check_balancing
from hadirector.config.brake_rules import check_brake
from hadirector.config.diagnostics import Rule, choices, did_you_mean
from hadirector.config.draft import Draft
from hadirector.config.hook_rules import check_hooks
from hadirector.config.nodes import Findings, Node, Sequence
from hadirector.config.on_fail_rules import check_on_fail
from hadirector.config.pair_rules import address_of, check_pair, networks_of
from hadirector.config.peer_rules import check_peer
from hadirector.config.pool_rules import check_pool
from hadirector.config.probe_rules import check_probe_marks
from hadirector.config.sections import FileDraft
from hadirector.config.service_parts import Listen
from hadirector.config.service_rules import check_service, first_of, repeated
from hadirector.config.sync_rules import check_sync
from hadirector.config.tracking_rules import check_tracking
from hadirector.config.virtual_mac_rules import check_virtual_macs
from hadirector.ipvs.model import Address, ServiceKey, VirtualAddress

ANYWHERE = -1
"""Instead of the number of a network: on every one it is the same address."""


def check_rules(top: FileDraft, findings: Findings) -> None:
    """Apply every rule."""
    for rule in _RULES:
        rule(top, findings)
    for service in top.services:
        check_service(service, findings)
        check_balancing(service, findings)
        check_pool(service, findings)


def _duplicate_names(top: FileDraft, findings: Findings) -> None:
    routers = [(router.draft, "name", router.draft.get("name", str)) for router in top.routers]
    services = [(service.draft, "name", service.draft.get("name", str)) for service in top.services]
    for what, items in (("virtual router", routers), ("service", services)):
        for draft, name, value, earlier in repeated(items):
            findings.error(
                Rule.DUPLICATE_NAME,
                draft.at(name),
                path=draft.path_of(name),
                message=f'a second {what} named "{value}"',
                hint=first_of(earlier, draft, name),
            )


def _duplicate_node_address(top: FileDraft, findings: Findings) -> None:
    items: list[tuple[Draft, str, Address | None]] = [
        (node, "address", address_of(node)) for node in top.nodes.values()
    ]
    for draft, name, value, earlier in repeated(items):
        findings.error(
            Rule.DUPLICATE_NODE_ADDRESS,
            draft.at(name),
            path=draft.path_of(name),
            message=f"two directors have the address {value}",
            hint=first_of(earlier, draft, name),
        )


def _vips(top: FileDraft) -> Iterator[tuple[Address, int, Node, str]]:
    """Every virtual address with the number of its network, node and path."""
    for router, network in zip(top.routers, networks_of(top), strict=True):
        for name in ("addresses", "excluded"):
            node, path = router.draft.at(name), router.draft.path_of(name)
            for index, address in enumerate(router.draft.get(name, tuple) or ()):
                item = node.items[index] if isinstance(node, Sequence) else node
                yield address.ip, network, item, f"{path}[{index}]"


def _duplicate_vip(top: FileDraft, findings: Findings) -> None:
    first: dict[tuple[Address, int], Node] = {}
    for address, network, node, path in _vips(top):
        # A link-local address is another one on each link.
        key = address, network if address.is_link_local else ANYWHERE
        earlier = first.setdefault(key, node)
        if earlier is not node:
            findings.error(
                Rule.DUPLICATE_VIP,
                node,
                path=path,
                message=f"the address {address} is owned twice",
                hint=f"the first is in {earlier.place.seen_from(node.place)}",
            )
    for name, draft in top.nodes.items():
        own = address_of(draft)
        if own is not None and (own, ANYWHERE) in first:
            findings.error(
                Rule.DUPLICATE_VIP,
                draft.at("address"),
                path=draft.path_of("address"),
                message=f"{own} is a virtual address and cannot be {name}'s own",
                hint=f"it is in {first[own, ANYWHERE].place.seen_from(draft.node.place)}",
            )


def _unknown_group(top: FileDraft, findings: Findings) -> None:
    """A group exists if it is listed in `groups:`; without that list, if two routers share it."""
    used: dict[str, list[Draft]] = {}
    for router in top.routers:
        group = router.draft.get("group", str)
        if group is not None:
            used.setdefault(group, []).append(router.draft)
    declared = top.draft.get("groups", list)
    if declared is None:
        if top.draft.at("groups") is top.draft.node:
            _lone_groups(used, findings)
        return
    for group, drafts in used.items():
        if group not in declared:
            for draft in drafts:
                _report_group(draft, group, choices(group, declared), findings)
    listed = top.draft.at("groups")
    for index, group in enumerate(declared):
        if group not in used:
            node = listed.items[index] if isinstance(listed, Sequence) else listed
            path, message = f"groups[{index}]", f'no virtual router is in group "{group}"'
            findings.warning(Rule.UNUSED_GROUP, node, path=path, message=message)


def _lone_groups(used: dict[str, list[Draft]], findings: Findings) -> None:
    lone = [group for group, drafts in used.items() if len(drafts) == 1]
    for index, group in enumerate(lone):
        if did_you_mean(group, lone[index + 1 :]):
            continue  # one slip of the pen, not two: the later one says it
        others = [other for other in used if other != group]
        hint = did_you_mean(group, others) or "remove it, or list it in groups:"
        _report_group(used[group][0], group, f"no other virtual router is in it; {hint}", findings)


def _report_group(draft: Draft, group: str, hint: str, findings: Findings) -> None:
    findings.error(
        Rule.UNKNOWN_GROUP,
        draft.at("group"),
        path=draft.path_of("group"),
        message=f'unknown group "{group}"',
        hint=hint,
    )


def _duplicate_listen(top: FileDraft, findings: Findings) -> None:
    """Of a range that overlaps with another, the first address is told."""
    first: dict[ServiceKey, tuple[int, Listen]] = {}
    told: set[tuple[int, int]] = set()
    for number, service in enumerate(top.services):
        for listen in service.listens:
            owner, earlier = first.setdefault(listen.key, (number, listen))
            if earlier is listen or (id(earlier.node), id(listen.node)) in told:
                continue
            told.add((id(earlier.node), id(listen.node)))
            what = "a second service listens" if owner != number else "this service listens twice"
            place = earlier.node.place.seen_from(listen.node.place)
            findings.error(
                Rule.DUPLICATE_LISTEN,
                listen.node,
                path=listen.path,
                message=f"{what} on {format_listen(listen.key)}",
                hint=f"the first is in {place}",
            )


def _unowned_vip(top: FileDraft, findings: Findings) -> None:
    routers = top.draft.at("virtual_routers")
    if not isinstance(routers, Sequence) or not routers.items:
        return  # missing (reported), or [] on purpose: something else brings the traffic
    if any("addresses" not in router.draft.values for router in top.routers):
        return  # one of those reported may be the owner
    owned = {str(address): None for address, *_ in _vips(top)}
    for service in top.services:
        unowned: dict[int, tuple[Listen, list[str]]] = {}
        for listen in service.listens:
            if isinstance(listen.key, VirtualAddress) and str(listen.key.address) not in owned:
                addresses = unowned.setdefault(id(listen.node), (listen, []))[1]
                if str(listen.key.address) not in addresses[-1:]:
                    addresses.append(str(listen.key.address))
        for listen, addresses in unowned.values():
            more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
            findings.error(
                Rule.UNOWNED_VIP,
                listen.node,
                path=listen.path,
                message=f"no virtual router owns {addresses[0]}{more}",
                hint=did_you_mean(addresses[0], owned)
                or "add it to the addresses of a virtual router",
            )


def _single_node(top: FileDraft, findings: Findings) -> None:
    if len(top.nodes) == 1 and top.routers:
        findings.warning(
            Rule.SINGLE_NODE,
            top.draft.at("nodes"),
            path="nodes",
            message="one director alone has no backup",
            hint="add the second one",
        )


_RULES: tuple[Callable[[FileDraft, Findings], None], ...] = (
    _duplicate_names,
    _duplicate_node_address,
    _duplicate_vip,
    _unknown_group,
    _duplicate_listen,
    _unowned_vip,
    check_tracking,
    check_probe_marks,
    check_pair,
    check_virtual_macs,
    check_sync,
    check_peer,
    check_on_fail,
    check_brake,
    check_hooks,
    _single_node,
)
