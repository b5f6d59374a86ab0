"""The shape of what a service does with the health of its servers: quorum, fallback servers.

As in `shape`, of which it is a part. What does not go together is found in `pool_rules`.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, Field, Strict

from hadirector.config.adapter import DURATION, STRICT
from hadirector.config.balancing import UNWRITTEN
from hadirector.config.check_shape import CHECK_REF
from hadirector.config.endpoints import EndpointText
from hadirector.quorum import Unit, WhenLost
from hadirector.steering import Steering

FIGURE_MAX = 2**31 - 1
DEFAULT = Steering()
UNITS = tuple(str(unit) for unit in Unit)


class QuorumShape(BaseModel):
    """What must be up for a service to count as working, in one of three units."""

    model_config = STRICT

    servers: Annotated[int, Ge(1)] = Field(default=UNWRITTEN, description="So many servers.")
    weight: Annotated[int, Ge(1), Le(FIGURE_MAX)] = Field(
        default=UNWRITTEN,
        description="So much weight together. A server in its slow start counts with all it is "
        "due.",
    )
    share: Annotated[int, Ge(1), Le(100)] = Field(
        default=UNWRITTEN, description="So many percent of the servers."
    )
    hysteresis: Annotated[int, Ge(0), Le(FIGURE_MAX)] = Field(
        default=0,
        description="In the same unit: the quorum is lost below its figure less this, and met "
        "again at its figure plus this.",
    )
    when_lost: Annotated[WhenLost, Strict(False)] = Field(
        default=WhenLost.SERVE,
        description="`serve`: the servers that are up go on serving. `fallback`: they are "
        "drained, and a fallback server serves, if one is up.",
    )


class SlowStartShape(BaseModel):
    """How a server that comes back grows to its weight: with time, or with what it passes."""

    model_config = STRICT

    over: Annotated[float, *DURATION, Ge(0), Le(3600)] = Field(
        default=UNWRITTEN, description="Over this time; the same as the duration alone."
    )
    passes: Annotated[int, Ge(1), Le(1000)] = Field(
        default=UNWRITTEN,
        description="With so many passes of its check, the one that brought it back included. A "
        "failure in between adds nothing. Of several checks, a pass of each is one.",
    )


class FallbackShape(BaseModel):
    """A fallback server with a check of its own."""

    model_config = STRICT

    address: EndpointText = Field(description="Address and port.")
    check: object = Field(
        default=UNWRITTEN,
        description="How it is checked; merged over the service's `check`, so that `{}` is that "
        "one. Without it, the server counts as up.",
        json_schema_extra=CHECK_REF,
    )


class DynamicWeightShape(BaseModel):
    """How weights that servers ask for (agent, script, file), or earn by latency, are followed."""

    model_config = STRICT

    step: Annotated[int, Ge(1), Le(100)] = Field(
        default=DEFAULT.step,
        description="How far a weight moves at once, in percent of the configured one. A server "
        "that asks for no clients is drained at once all the same.",
    )
    every: Annotated[float, Ge(0.1), Le(3600), *DURATION] = Field(
        default=DEFAULT.every,
        json_schema_extra={"default": "5s"},
        description="Time between two steps.",
    )
    hysteresis: Annotated[int, Ge(0), Le(50)] = Field(
        default=DEFAULT.hysteresis,
        description="A weight that differs by less from the one gone for is passed over, in "
        "percent of the configured one.",
    )
    latency: Annotated[float, Ge(0.0001), Le(60), *DURATION] = Field(
        default=UNWRITTEN,
        description="A server whose probes are answered within this time, in the mean, has its "
        "full weight; one that takes twice as long has half, and so on. Unwritten: latency does "
        "not matter.",
    )
    least: Annotated[int, Ge(1), Le(100)] = Field(
        default=DEFAULT.least,
        description="So many percent of its weight a server keeps however slow it is.",
    )
