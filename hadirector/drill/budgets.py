"""How long each fault may hurt the clients, computed from the configuration. Pure; milliseconds.

The budgets follow from the protocol and from the checks: what the operator configured is what the
clients get, plus an allowance for a slow machine.
"""

from __future__ import annotations

from hadirector.config.model import Config, HealthCheck, Service
from hadirector.elections import heartbeat_bound_s, router_settings
from hadirector.limits import PEER_STATE_EVERY_S
from hadirector.peer.policies import SPLIT_S

ALLOWANCE_MS = (
    500.0  # a machine that is slow: the embedded kernel has one processor and 10 ms ticks
)
UNHARMED_MS = 500.0  # what is meant to cost nothing: no more than one unlucky schedule
LAST_WILL_MS = 100.0  # make before break: milliseconds


def fall_ms(check: HealthCheck) -> float:
    """From a server's death to its leaving the table: all its failures, the last timing out."""
    timing = check.timing
    return (timing.fall * timing.interval + timing.timeout) * 1000 + ALLOWANCE_MS


def rise_ms(check: HealthCheck) -> float:
    """From a server's return to its being in the table again."""
    timing = check.timing
    slowest = max(timing.interval, timing.down_interval or 0.0)
    passing = max(timing.rise * slowest, slowest + (timing.up_after or 0.0))
    return (passing + timing.timeout) * 1000 + ALLOWANCE_MS


def all_down_ms(service: Service) -> float:
    """From the death of all servers of a service to the fallback server's first answer."""
    return max(fall_ms(server.check or service.check) for server in service.servers)


def held_ms(config: Config) -> float:
    """From the loss of all servers and of the control probe to the weights being held."""
    if config.brake is None:
        return 0.0
    return all_down_ms(config.services[0]) + 2 * config.brake.control.timing.timeout * 1000


def cut_off_ms(config: Config) -> float:
    """How long clients wait where all servers are cut off until that is seen, and then are back."""
    return held_ms(config) + 3 * ALLOWANCE_MS


def skew_ms(config: Config) -> float:
    """The longest skew of any backup: (256 - priority) / 256 of an interval (RFC 9568, 6.1)."""
    lowest = min(
        settings.priority for name in config.nodes for settings in router_settings(config, name)
    )
    return (256 - lowest) / 256 * advertise_ms(config)


def advertise_ms(config: Config) -> float:
    """The longest advertisement interval."""
    return max(router.advertise for router in config.virtual_routers) * 1000


def takeover_ms(config: Config) -> float:
    """From the loss of the active director to the peer's first answer: three adverts and a skew."""
    return 3 * advertise_ms(config) + skew_ms(config) + ALLOWANCE_MS


def will_ms(config: Config) -> float:
    """From the death of the active VRRP worker to the peer being active."""
    return skew_ms(config) + ALLOWANCE_MS


def heartbeat_ms(config: Config) -> float:
    """How long a frozen VRRP worker may go unnoticed: the bound on two holding one address."""
    return heartbeat_bound_s(config) * 1000


def freeze_ms(config: Config) -> float:
    """From the freeze of the active VRRP worker to the peer being active."""
    return heartbeat_ms(config) + will_ms(config)


def audit_ms(config: Config) -> float:
    """From a change by another program to its repair."""
    return config.audit * 1000 + ALLOWANCE_MS


def arbitration_ms() -> float:
    """How long two may be active that know it by the peer channel alone: until the lower yields.

    The lower one looks every moment, and what it knows of the other one is up to a moment old.
    """
    return (SPLIT_S + 2 * PEER_STATE_EVERY_S) * 1000 + ALLOWANCE_MS


def parted_ms() -> float:
    """How long clients may miss an answer around a split brain.

    They follow whoever announced last. When the lower one steps back, the other one hears of it on
    the peer channel, and announces again.
    """
    return PEER_STATE_EVERY_S * 1000 + ALLOWANCE_MS
