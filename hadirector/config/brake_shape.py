"""The section `brake:` of the file: what is not believed at once when much of a pool fails."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, Field

from hadirector.brake import Limits
from hadirector.config.adapter import DURATION, STRICT
from hadirector.config.check_shape import CHECK_REF

Seconds = Annotated[float, *DURATION]
_LIMITS = Limits()


class BrakeShape(BaseModel):
    """When much of a pool fails at once, the usual cause is the director's own link. With this
    section, a probe of something else is asked first, and while that fails, too, the servers that
    failed keep their weights. Without it, every failure is believed at once."""

    model_config = STRICT

    control: object = Field(
        description="What tells whether our own link works: a check of any kind, of something that "
        "is reached as the servers are and is none of them, such as the router beyond them: "
        "`{type: ping, address: 198.51.100.1}`. It needs an `address`, and a `port` where its kind "
        "has one. A single result decides, so of its timing there are `interval` and `timeout`.",
        json_schema_extra=CHECK_REF,
    )
    share: Annotated[int, Ge(0), Le(99)] = Field(
        default=_LIMITS.share,
        description="When more than this percentage of a service's serving servers, and two at "
        "least, fail within the `window`, the control probe is asked.",
    )
    window: Annotated[Seconds, Ge(0.1), Le(3600)] = Field(
        default=_LIMITS.window,
        json_schema_extra={"default": "10s"},
        description="How close together the failures are. The slowest check of a service should "
        "fit in: its `interval` times its `fall`, and its `timeout`.",
    )
    hold: Annotated[Seconds, Ge(1), Le(86_400)] = Field(
        default=_LIMITS.hold,
        json_schema_extra={"default": "5m"},
        description="The longest time that weights are held. A control probe that has not passed "
        "for this long holds nothing.",
    )
    settle: Annotated[Seconds, Ge(0), Le(3600)] = Field(
        default=_LIMITS.settle,
        json_schema_extra={"default": "10s"},
        description="How long the servers have to come back when the control probe passes again: "
        "as long as a check takes for its `rise`, and some more.",
    )
