"""Rules for the peer channel: it joins exactly two directors, at two addresses of their own.

As in `rules`: certain mistakes only, and a value that is absent or already reported passes over in
silence. Whether the certificates are there is the host's affair, and `hadirector doctor`'s.
"""

from __future__ import annotations

from hadirector.config.diagnostics import Rule, choices
from hadirector.config.draft import Draft
from hadirector.config.nodes import Findings, Mapping
from hadirector.config.pair_rules import address_of
from hadirector.config.sections import FileDraft
from hadirector.ipvs.model import Address
from hadirector.peer.settings import PeerSettings


def check_peer(top: FileDraft, findings: Findings) -> None:
    """Apply every rule to the section, where there is one."""
    peer = top.peer
    if peer is None or not isinstance(peer.node, Mapping):
        return
    if len(top.nodes) != 2:
        findings.error(
            Rule.PEER_PAIR,
            peer.node,
            path=peer.path,
            message=f"the peer channel joins two directors, and there are {len(top.nodes)}",
            hint="take peer: out, or name two directors in nodes:",
        )
        return
    written = peer.at("addresses")
    for name in peer.get("addresses", dict) or {}:
        if name not in top.nodes:
            findings.error(
                Rule.UNKNOWN_NODE,
                written.keys[name] if isinstance(written, Mapping) else written,
                path=f"{peer.path_of('addresses')}.{name}",
                message=f'no director is called "{name}"',
                hint=choices(name, top.nodes),
            )
    addresses = _addresses(top, peer)
    if len(addresses) == 2 and len(set(addresses.values())) == 1:
        findings.error(
            Rule.DUPLICATE_NODE_ADDRESS,
            written,
            path=peer.path_of("addresses"),
            message=f"both directors would be reached at {next(iter(addresses.values()))}",
            hint="give each its own",
        )


def peer_of(top: FileDraft) -> PeerSettings | None:
    """The section resolved; only called when there is no error."""
    peer = top.peer
    if peer is None:
        return None
    return PeerSettings(
        addresses=_addresses(top, peer),
        port=peer.get("port", int) or 0,
        certificate=peer.get("certificate", str) or "",
        key=peer.get("key", str) or "",
        ca=peer.get("ca", str) or "",
        warm_table=float(peer.get("warm_table", float) or 0.0),
        health_moves=peer.get("health_moves", int) or 0,
    )


def _addresses(top: FileDraft, peer: Draft) -> dict[str, Address]:
    """Where each director is reached, as far as that is known."""
    written = peer.get("addresses", dict) or {}
    found = {name: written.get(name) or address_of(draft) for name, draft in top.nodes.items()}
    return {name: address for name, address in found.items() if address is not None}
