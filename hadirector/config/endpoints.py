"""The address and port of a server in the file, for every section that has one."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator
from pydantic.json_schema import WithJsonSchema

from hadirector.config.addresses import ENDPOINT_PATTERN, AddressError, parse_endpoint
from hadirector.ipvs.model import DestinationKey


def as_text(value: object, hint: str) -> str:
    """The text of an address; raises AddressError if it is none."""
    if not isinstance(value, str):
        raise AddressError("an address is expected here", hint)
    return value


def _endpoint(value: object) -> DestinationKey:
    return parse_endpoint(as_text(value, "write 198.51.100.21:8080"))


EndpointText = Annotated[
    DestinationKey,
    PlainValidator(_endpoint),
    WithJsonSchema(
        {"type": "string", "pattern": ENDPOINT_PATTERN, "examples": ["198.51.100.21:8080"]}
    ),
]
