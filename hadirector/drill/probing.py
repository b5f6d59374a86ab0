"""Probes against a virtual address from a real client's host, many a second.

The problem: whether a failover hurt is known to the clients only, and `curl` in a loop waits for
one answer before it asks again. The approach: a probe leaves at each tick, whatever became of those
before, with the library's own checks as probes; each is bounded in time, and all in number. What
they add up to is `lab.samples`' affair.

It must never retry, or count a probe that could not be made as one that the service failed: that
one is counted as lost with the reason `socket`, so that the person at the keyboard sees why.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from checkers.base import OptionError, Probe, ProbeError, Reason, Target, Way
from checkers.http import HttpOptions
from checkers.options import CheckOptions
from checkers.ping import PingOptions
from checkers.tcp import TcpOptions
from checkers.udp import UdpOptions
from hadirector.config.addresses import AddressError, parse_address, parse_endpoint
from hadirector.lab.samples import Sample, Summary, summarise

IN_FLIGHT_MAX = 512
SAMPLES_MAX = 500_000
KINDS = ("tcp", "http", "udp", "ping")


class AimError(ValueError):
    """What was written is nothing to ask; the sentence says why, `hint` what would be."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom to ask, and how."""

    target: Target
    options: CheckOptions


def aim_at(
    url: str,
    *,
    source: IPv4Address | IPv6Address | None = None,
    send: str | None = None,
    expect: str | None = None,
) -> Aim:
    """`tcp://192.0.2.100:80`, `http://…/path`, `udp://…`, `ping://192.0.2.100`. Raises AimError."""
    kind, _, rest = url.partition("://")
    if kind not in KINDS or not rest:
        raise AimError(f"{url} is nothing to ask", f"write {', '.join(f'{k}://' for k in KINDS)}…")
    if kind in ("http", "ping") and (send is not None or expect is not None):
        raise AimError(f"{kind} takes neither --send nor --expect", "they are for tcp and udp")
    try:
        if kind == "ping":
            return Aim(Target(parse_address(rest.strip("[]")), 1, Way(source)), PingOptions())
        split = urlsplit(url)
        endpoint = parse_endpoint(split.netloc)
        target = Target(endpoint.address, endpoint.port, Way(source))
        if kind == "http":
            path = f"{split.path or '/'}{f'?{split.query}' if split.query else ''}"
            return Aim(target, HttpOptions(path=path))
        if kind == "udp":
            return Aim(target, UdpOptions(send=send or "probe", expect=expect))
        return Aim(target, TcpOptions(send=send, expect=expect))
    except (AddressError, OptionError) as error:
        raise AimError(f"{url}: {error}", getattr(error, "hint", "")) from error


class Prober:
    """Asks once every `every_s` seconds, each time for at most `bound_s`."""

    def __init__(self, aim: Aim, *, every_s: float, bound_s: float) -> None:
        self._aim = aim
        self._every_s = every_s
        self._bound_s = bound_s
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._began_at = time.monotonic()
        self._answered_at = self._began_at
        self.has_answer = False
        """Whether anybody has ever answered."""
        self.explained: dict[str, str] = {}
        """For each way of being lost, the last sentence."""

    async def run(self, until: float) -> None:
        """Ask until this moment (monotonic), and until the last probe has ended."""
        probe = self._aim.options.make_probe()
        self._began_at = self._answered_at = at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            flying: set[asyncio.Task[None]] = set()
            while (now := time.monotonic()) < until:
                if len(flying) < IN_FLIGHT_MAX:
                    task = group.create_task(self._ask(probe))
                    flying.add(task)
                    task.add_done_callback(flying.discard)
                at = max(at + self._every_s, now)  # what was missed is not made up for
                await asyncio.sleep(max(0.0, min(at, until) - time.monotonic()))

    async def _ask(self, probe: Probe) -> None:
        sent_at = time.monotonic()
        try:
            result = await probe.probe(self._aim.target, self._bound_s)
            healthy, reason, sentence = result.healthy, result.reason, result.sentence
        except ProbeError as error:
            healthy, reason, sentence = False, Reason.SOCKET, str(error)
        now = time.monotonic()
        if healthy:
            self._answered_at = max(self._answered_at, now)
            self.has_answer = True
        else:
            self.explained[str(reason)] = sentence
        self._samples.append(
            Sample(
                target=0,
                sent_at=sent_at,
                answered_at=now if healthy else None,
                failure="" if healthy else str(reason),
            )
        )

    def silent_ms(self) -> float:
        """How long nobody has answered, now."""
        return (time.monotonic() - self._answered_at) * 1000

    def summary(self, *, until: float) -> Summary:
        """What was seen from the first probe until a moment (monotonic)."""
        return summarise(self._samples, since=self._began_at, until=until, tick_s=self._every_s)
