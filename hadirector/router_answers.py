"""What is told of virtual routers: `status` and `explain`, from plain values. Pure.

All that a director says which has nothing to balance, and so free of what balancing takes: neither
checks nor IPVS. The shapes are those of `answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from vrrp.config import RouterSettings
from vrrp.messages import RouterReport

Json = dict[str, object]


class UnknownSubjectError(LookupError):
    """Nothing of that name is configured here; the message lists what is."""


def router_told(settings: RouterSettings, report: RouterReport | None) -> Json:
    """A virtual router: what is configured here, and what the worker last said of it, if it has."""
    facts: Json = {
        "name": settings.name,
        "vrid": settings.vrid,
        "interface": settings.interface,
        "group": settings.group,
        "priority": settings.priority,
        "addresses": [str(address) for address in settings.all_addresses],
        "virtual_mac": settings.virtual_mac_in_words,
        "device": settings.device,
    }
    if report is None:
        return {
            **facts,
            "state": "unknown",
            "since": None,
            "reason": "the VRRP worker has said nothing about it",
            "active_peer": None,
            "held": [],
            "counters": {},
            "peers": [],
            "arithmetic": f"base {facts['priority']}",
            "trackers": [],
            "rival": None,
            "outlook": "",
            "remark": "",
        }
    return {
        **facts,
        "priority": report.priority,
        "state": str(report.state),
        "since": report.since,
        "reason": report.reason,
        "active_peer": report.active_peer,
        "held": list(report.held),
        "counters": dict(report.counters),
        "peers": [
            {"address": address, "counters": dict(counted)}
            for address, counted in report.peers.items()
        ],
        "arithmetic": report.arithmetic,
        "trackers": list(report.trackers),
        "rival": report.rival or None,
        "outlook": report.outlook,
        "remark": report.remark,
    }


def _complaints(peers: list[Json]) -> list[str]:
    """What was not as it should be in what peers sent, a sentence for each of them."""
    sentences = []
    for peer in peers:
        counted = cast("dict[str, int]", peer["counters"])
        wrong = [f"{count} {kind}" for kind, count in counted.items() if kind != "received"]
        if wrong:
            sentences.append(f"packets from {peer['address']}: {', '.join(sorted(wrong))}")
    return sentences


def router_explained(router: Json) -> Json:
    """The same, with why it is as it is, sentence by sentence."""
    held, configured = cast("list[str]", router["held"]), cast("list[str]", router["addresses"])
    because = [
        router["reason"],
        f"vrid {router['vrid']} on {router['interface']}, priority {router['priority']}",
        f"holds {', '.join(held) or 'no address'}; configured: {', '.join(configured)}",
    ]
    if "," in str(router["arithmetic"]):  # more than the base
        because.append(f"priority: {router['arithmetic']}")
    because += _complaints(cast("list[Json]", router["peers"]))
    because += [f"depends on: {phrase}" for phrase in cast("list[str]", router["trackers"])]
    if router["virtual_mac"]:
        because.append(f"virtual MAC {router['virtual_mac']}, on {router['device']}")
    if router["remark"]:
        because.append(str(router["remark"]))
    if router["active_peer"]:
        because.append(f"{router['active_peer']} is active")
    if router["outlook"]:
        because.append(f"this director {router['outlook']}")
    if router["group"]:
        because.append(f"moves together with the others of its group {router['group']}")
    return {**router, "because": because}


def rivals(routers: Mapping[str, RouterReport]) -> list[str]:
    """What is wrong beyond this director: another one is active as well."""
    return [
        f"{router.name}: {router.rival} is active as well (split brain)"
        for router in routers.values()
        if router.rival
    ]
