"""The section `ipvs:` of the file: the kernel's settings, each with its own key.

The keys are the kernel's names; a switch is `true` or `false`, a time has its unit. What is not
written is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, Field

from hadirector.config.adapter import STRICT
from hadirector.config.balancing import UNWRITTEN, WholeSeconds
from hadirector.config.diagnostics import UnfitError

SYNC_PORTS = (1, 2, 4, 8, 16, 32, 64)


def _power_of_two(value: int) -> int:
    if value not in SYNC_PORTS:
        raise UnfitError(f"{value} is no power of two", "write 1, 2, 4, 8, 16, 32 or 64")
    return value


def _below(value: list[int]) -> list[int]:
    if len(value) != 2 or min(value) < 0 or (value[1] and value[0] >= value[1]):
        raise UnfitError(
            "two numbers are expected here, the first one below the second", "write [3, 50]"
        )
    return value


class IpvsShape(BaseModel):
    """Settings of IPVS in the kernel. They hold for the whole host (network namespace), and
    `hadirector ipvs settings --restore` puts back what was there before."""

    model_config = STRICT

    tcp_timeout: WholeSeconds = Field(
        default=UNWRITTEN, description="How long an idle TCP connection is remembered."
    )
    tcp_fin_timeout: WholeSeconds = Field(
        default=UNWRITTEN, description="How long a TCP connection is remembered after its FIN."
    )
    udp_timeout: WholeSeconds = Field(
        default=UNWRITTEN, description="How long a UDP client is remembered after its last packet."
    )
    conntrack: bool = Field(
        default=UNWRITTEN,
        description="Connections are known to netfilter's conntrack, too: rules can match them, "
        "and each costs more.",
    )
    expire_nodest_conn: bool = Field(
        default=UNWRITTEN,
        description="A connection whose server was removed ends at its next packet instead of "
        "being dropped in silence.",
    )
    expire_quiescent_template: bool = Field(
        default=UNWRITTEN,
        description="Persistence does not hold clients at a server of weight 0.",
    )
    conn_reuse_mode: Annotated[int, Ge(0), Le(3)] = Field(
        default=UNWRITTEN,
        description="What happens when a client uses a port again. 0: it goes to the same server; "
        "1: it is scheduled anew where that is safe; 3: in FIN_WAIT, too, the last state that a "
        "director with `forward: dr` sees.",
    )
    sloppy_tcp: bool = Field(
        default=UNWRITTEN,
        description="TCP connections are taken up in their middle: with `sh` or `mh` they survive "
        "a failover without connection sync.",
    )
    backup_only: bool = Field(
        default=UNWRITTEN,
        description="While only the backup sync daemon runs, IPVS leaves packets alone: for "
        "directors that are real servers, too.",
    )
    sync_threshold: Annotated[list[int], AfterValidator(_below)] = Field(
        default=UNWRITTEN,
        description="`[3, 50]`: a connection is synchronised at its 3rd packet and then every 50.",
    )
    sync_refresh_period: Annotated[WholeSeconds, Ge(1)] = Field(
        default=UNWRITTEN,
        description="A connection is synchronised again at the earliest after this time.",
    )
    sync_retries: Annotated[int, Ge(0), Le(3)] = Field(
        default=UNWRITTEN, description="How often a state is sent again within a refresh period."
    )
    sync_ports: Annotated[int, AfterValidator(_power_of_two)] = Field(
        default=UNWRITTEN,
        description="How many threads synchronise, each on a port of its own. Same on both "
        "directors.",
    )
    sync_qlen_max: Annotated[int, Ge(1), Le(2**31 - 1)] = Field(
        default=UNWRITTEN, description="How many sync messages may wait; more are dropped."
    )
    sync_persist_mode: bool = Field(
        default=UNWRITTEN,
        description="Of persistent services only the templates are synchronised.",
    )
    run_estimation: bool = Field(
        default=UNWRITTEN, description="Rates are computed; `false` saves time in large tables."
    )


def settings_of(values: Mapping[str, object]) -> dict[str, str]:
    """The settings that are written, by the kernel's names and in its words."""
    return {
        name.replace("_", "-") if name.endswith("_timeout") else name: _text(value)
        for name, value in values.items()
        if value is not None
    }


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return str(int(value)) if isinstance(value, bool) else str(value)
