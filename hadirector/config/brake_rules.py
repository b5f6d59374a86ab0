"""Rules for the brake: its control probe goes somewhere else than the servers, and decides by one
result.

As in `rules`: certain mistakes only, and a value that is absent or already reported passes over in
silence.
"""

from __future__ import annotations

from collections.abc import Iterator

from hadirector.brake import Limits
from hadirector.config.brake_draft import CONTROL_PATH, BrakeDraft
from hadirector.config.diagnostics import Rule
from hadirector.config.model import BrakeSettings
from hadirector.config.nodes import Findings, Mapping
from hadirector.config.sections import FileDraft
from hadirector.ipvs.model import Address, DestinationKey

_NOT_OF_A_CONTROL = (
    "rise",
    "fall",
    "fast_interval",
    "down_interval",
    "spread",
    "initial",
    "up_after",
    "manual_resume",
    "label",
    "advisory",
    "through_vip",
)
"""What a check may have that counts and belongs to a server."""
_NO_PORT = "ping"


def check_brake(top: FileDraft, findings: Findings) -> None:
    """Apply every rule to the section, where there is one."""
    brake = top.brake
    if brake is None:
        return
    node = brake.written
    for name in _NOT_OF_A_CONTROL:
        if isinstance(node, Mapping) and name in node.entries:
            findings.error(
                Rule.BAD_VALUE,
                node.keys[name],
                path=f"{CONTROL_PATH}.{name}",
                message=f'"{name}" means nothing here',
                hint="the control probe is of no server, and a single result decides",
            )
    control = brake.control
    if control is None or node is None:
        return
    options = control.options
    missing = "address" if options.address is None else "port"
    if options.address is None or (options.port is None and control.kind != _NO_PORT):
        findings.error(
            Rule.MISSING_KEY,
            node,
            path=f"{CONTROL_PATH}.{missing}",
            message=f'"{missing}" is missing',
            hint="the control probe is of no server, so nothing else says where it goes",
        )
    elif (owner := dict(_servers(top)).get(options.address)) is not None:
        findings.error(
            Rule.CONTROL_IS_SERVER,
            node.entries["address"] if isinstance(node, Mapping) else node,
            path=f"{CONTROL_PATH}.address",
            message=f"{options.address} is a server of {owner}, which cannot vouch for our link",
            hint="take what stands beyond or beside the servers, such as a router",
        )


def _servers(top: FileDraft) -> Iterator[tuple[Address, str]]:
    """Every server's address, with the name of a service that has it."""
    for draft in top.services:
        for server in draft.servers:
            if (key := server.draft.get("address", DestinationKey)) is not None:
                yield key.address, draft.draft.get("name", str) or "a service"
    for service in top.others:
        for one in service.servers:
            yield one.address, service.name


def brake_of(brake: BrakeDraft | None) -> BrakeSettings | None:
    """The section resolved; only called when there is no error."""
    if brake is None:
        return None
    assert brake.control is not None
    values = {
        name: float(brake.draft.get(name, float) or 0.0) for name in ("window", "hold", "settle")
    }
    share = brake.draft.get("share", int)
    assert share is not None
    return BrakeSettings(limits=Limits(share=share, **values), control=brake.control)
