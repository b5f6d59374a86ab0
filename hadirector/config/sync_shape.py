"""The section `connection_sync:` of the file: how the kernels tell each other of connections."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, Field, PlainValidator, Strict
from pydantic.json_schema import WithJsonSchema

from hadirector.config.adapter import DURATION, STRICT, translate
from hadirector.config.addresses import AddressError, parse_address
from hadirector.config.balancing import UNWRITTEN
from hadirector.config.diagnostics import UnfitError
from hadirector.connection_sync import (
    INTERFACE_BYTES_MAX,
    SyncDuty,
    SyncMode,
    SyncOfNode,
    SyncStop,
)
from hadirector.ipvs.control import SYNC_GROUP, SYNC_PORT
from hadirector.ipvs.model import Address


def _group(value: object) -> Address:
    if not isinstance(value, str):
        raise AddressError("an address is expected here", f"write {SYNC_GROUP}")
    address = parse_address(value)
    if not address.is_multicast:
        raise AddressError(f"{address} is no multicast address", f"write {SYNC_GROUP} or ff02::81")
    return address


def _maxlen(value: int) -> int:
    if value and value < MAXLEN_MIN:
        raise UnfitError(
            f"{value} bytes hold no connection with its options", f"write {MAXLEN_MIN} to 65535"
        )
    return value


MAXLEN_MIN = 512
"""Bytes: one record with all its options is below this, whatever the family."""

Group = Annotated[
    Address,
    PlainValidator(_group),
    WithJsonSchema({"type": "string", "examples": [str(SYNC_GROUP)]}),
]


_OfNode: Any = translate(SyncOfNode)


class ConnectionSyncShape(BaseModel):
    """The kernels of the pair tell each other of their connections, so that these survive when the
    other director takes over. Where this section is written, the kernel's settings are those with
    which connections survive, unless `ipvs` says otherwise."""

    model_config = STRICT

    interface: Annotated[str, MinLen(1), MaxLen(INTERFACE_BYTES_MAX)] = Field(
        description="The interface that both directors use for it: a network of their own is best, "
        "since nothing authenticates what is sent."
    )
    nodes: dict[str, _OfNode] = Field(
        default=UNWRITTEN,
        description="What differs on a director, by its name: the name of that interface.",
    )
    mode: Annotated[SyncMode, Strict(False)] = Field(
        default=SyncMode.FOLLOW,
        description="`follow`: the director that VRRP makes active sends, "
        "the other receives; where each is active for some virtual routers, both do both. `both`: "
        "always both, on both directors.",
    )
    follow: Annotated[str, MinLen(1)] = Field(
        default=UNWRITTEN,
        description="The virtual router or group whose role decides who sends; without it, all of "
        "them together.",
    )
    roles: dict[str, Annotated[SyncDuty, Strict(False)]] = Field(
        default=UNWRITTEN,
        description="Instead of VRRP: each director's part by its name, `active` (sends), "
        "`backup` (receives), `both` or `none`.",
    )
    id: Annotated[int, Ge(0), Le(255)] = Field(
        default=UNWRITTEN,
        description="Tells this pair from others on the same network. Without it, the VRID of the "
        "first virtual router that is followed. A receiver with 0 takes what anybody sends.",
    )
    group: Group = Field(
        default=SYNC_GROUP,
        description="The multicast group, IPv4 or IPv6.",
        json_schema_extra={"default": str(SYNC_GROUP)},
    )
    port: Annotated[int, Ge(1), Le(65535)] = Field(
        default=SYNC_PORT,
        description="UDP port; with `ipvs.sync_ports`, the first of that many in a row.",
    )
    ttl: Annotated[int, Ge(1), Le(255)] = Field(
        default=1, description="Routers that a datagram may pass, plus one."
    )
    maxlen: Annotated[int, Ge(0), Le(65535), AfterValidator(_maxlen)] = Field(
        default=UNWRITTEN,
        description="Size of a datagram in bytes, at least 512. Without it, as the interface's MTU "
        "allows. Both directors must use the same.",
    )
    warm_up: Annotated[float, *DURATION, Ge(0), Le(3600)] = Field(
        default=15.0,
        json_schema_extra={"default": "15s"},
        description="A director that comes back and has heard of no connections yet listens for "
        "this time before it takes the addresses from a working peer.",
    )
    on_stop: Annotated[SyncStop, Strict(False)] = Field(
        default=SyncStop.RECEIVE,
        description="When hadirector stops. `receive`: the kernel goes on receiving, so that the "
        "next start finds the peer's connections; `keep`: what runs stays; `stop`: all is stopped. "
        "Whatever is stopped has sent all it had to send.",
    )
