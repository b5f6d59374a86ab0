"""The section `peer:` of the file: the channel between the two directors."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, Field, PlainValidator
from pydantic.json_schema import WithJsonSchema

from hadirector.config.adapter import STRICT
from hadirector.config.addresses import AddressError, parse_address
from hadirector.config.balancing import UNWRITTEN
from hadirector.config.diagnostics import UnfitError
from hadirector.ipvs.model import Address
from hadirector.peer.settings import CA, CERTIFICATE, HEALTH_MOVES, KEY, PORT, WARM_PERCENT


def _address(value: object) -> Address:
    if not isinstance(value, str):
        raise AddressError("an address is expected here", "write 192.0.2.11")
    return parse_address(value)


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise UnfitError(f'"{value}" is not a whole path, from the root', f"write {CERTIFICATE}")
    return value


WholePath = Annotated[str, AfterValidator(_path)]
OwnAddress = Annotated[
    Address,
    PlainValidator(_address),
    WithJsonSchema({"type": "string", "examples": ["192.0.2.11"]}),
]


class PeerShape(BaseModel):
    """The two directors tell each other what an advertisement cannot: their view of the servers,
    the file they run, the connections they hold. `hadirector peer init` makes what it takes. In the
    paths, `{node}` stands for the name of the director that reads the file."""

    model_config = STRICT

    port: Annotated[int, Ge(1), Le(65535)] = Field(
        default=PORT, description="TCP port on which one director waits for the other."
    )
    addresses: dict[str, OwnAddress] = Field(
        default=UNWRITTEN,
        description="Where each director is reached, by its name; without it at its `address`. A "
        "network of its own is best, one that fails with neither the clients' nor the servers'.",
    )
    certificate: WholePath = Field(
        default=CERTIFICATE,
        description="The certificate of the director (PEM), with its name as a DNS name in it.",
    )
    key: WholePath = Field(
        default=KEY, description="Its private key (PEM, without a password, for its owner alone)."
    )
    ca: WholePath = Field(
        default=CA,
        description="Who must have signed the other's certificate (PEM): an authority of this pair "
        "alone.",
    )
    warm_table: Annotated[float, Ge(1), Le(100)] = Field(
        default=WARM_PERCENT,
        description="A director that comes back and listens (`connection_sync.warm_up`) takes over "
        "sooner, once it holds so many percent of the connections that the other told it of.",
    )
    health_moves: Annotated[int, Ge(0), Le(60)] = Field(
        default=HEALTH_MOVES,
        description="How often in an hour a director may lower its priority below the other's "
        "since it reaches fewer servers. 0: never.",
    )
