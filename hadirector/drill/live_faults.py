"""The drills on a running pair that concern servers, links and the kernel's tables. Pure.

A server is lost by a route of this host alone, which leads to a neighbor that nobody is: its
checks, its clients and its connections wait in vain, as if it had lost power. (A route of type
unreachable or blackhole would be no failure of the server: a probe that this host cannot send
proves nothing.) A link goes down as by a
command; its routes and addresses are noted before and put back. What another program may change is
changed as a colleague would, with ipvsadm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hadirector.config.model import Server, Service
from hadirector.drift import Drift
from hadirector.drill import budgets
from hadirector.drill.ipvsadm import ipvsadm_names
from hadirector.drill.live import (
    ACTIVE,
    Drill,
    Facts,
    Look,
    Planned,
    Promise,
    lasting,
    servers_up,
    tool,
    unharmed,
)
from hadirector.drill.sequence import STEPS_MAX, Run, Step
from hadirector.peer.switchover import Obstacle

ROUTES_PROTOCOL = "77"
"""Marks our routes (rtnetlink(7), rtm_protocol), so that nobody else's is ever taken away."""
NOBODY = {4: "192.0.0.8", 6: "100::1"}
"""Next hops that no host has: the dummy address of RFC 7600, one of the prefix of RFC 6666."""
SERVERS_MAX = STEPS_MAX - 1
AUDIT_BOUND_S = 70.0
SLOW_MS = 2000.0


# Servers


def _service(facts: Facts, fits: Callable[[Service], bool]) -> Service | None:
    """The one that is named, or the first that suits."""
    named = [each for each in facts.config.services if facts.service in ("", each.name)]
    return next((each for each in named if fits(each)), None)


def _key(service: Service, server: Server) -> str:
    return f"{service.name}/{server}"


def _living(facts: Facts, service: Service) -> list[Server]:
    up = servers_up(facts.status)
    return [server for server in service.servers if _key(service, server) in up]


def _named(facts: Facts) -> list[Obstacle]:
    names = [service.name for service in facts.config.services]
    if not facts.service or facts.service in names:
        return []
    sentence = f'no service is called "{facts.service[:64]}"; there is: {", ".join(names)}'
    return [Obstacle(sentence, final=True)]


def _lost(facts: Facts, server: Server) -> Step:
    version, length = server.address.version, server.address.max_prefixlen
    route = f"{server.address}/{length}"
    preferred = () if version == 4 else ("metric", "1")  # 0 is the most preferred of IPv4
    ip = ("ip", f"-{version}", "route")
    nobody = ("via", NOBODY[version], "dev", facts.way_to(str(server.address)), "onlink")
    return Step(
        text=f"cut {server.address} off from this director",
        act=Run((*ip, "add", route, *nobody, "proto", ROUTES_PROTOCOL, *preferred)),
        # Succeeds also where there is nothing to flush.
        undo=Run((*ip, "flush", "exact", route, "proto", ROUTES_PROTOCOL)),
    )


def _down(facts: Facts, service: Service, servers: list[Server]) -> Promise:
    keys = {_key(service, server) for server in servers}
    bound = max(budgets.fall_ms(server.check or service.check) for server in servers)

    def holds(look: Look) -> bool:
        return bool(look.status) and not keys & servers_up(look.status)

    words = ", ".join(sorted(keys)) if len(keys) < 4 else f"{len(keys)} servers of {service.name}"
    return Promise(f"{words} down", bound + SLOW_MS, holds)


def _held(steps: list[Step], promise: Promise) -> Planned:
    """The steps at once, the last of them held."""
    *first, last = steps
    held = Step(text=last.text, act=last.act, undo=last.undo, hold_s=lasting((promise,)))
    return (*first, held), (promise,)


def _has_two(facts: Facts) -> Callable[[Service], bool]:
    return lambda service: len({server.address for server in _living(facts, service)}) > 1


def _one_server(facts: Facts) -> Planned:
    service = _service(facts, _has_two(facts))
    assert service is not None
    victim = _living(facts, service)[0]
    # Whatever else has that address is lost with it.
    same = [each for each in _living(facts, service) if each.address == victim.address]
    return _held([_lost(facts, victim)], _down(facts, service, same))


def _one_server_lacks(facts: Facts) -> list[Obstacle]:
    found = [*_named(facts), *tool(facts, "ip")]
    service = _service(facts, _has_two(facts))
    if service is None:
        sentence = "no service has two servers up at different addresses: none would be left"
        return [*found, Obstacle(sentence, final=True)]
    return [*found, *_own(facts, _living(facts, service)[:1])]


def _all_servers(facts: Facts) -> Planned:
    service = _service(facts, lambda each: bool(_living(facts, each)))
    assert service is not None
    living = _living(facts, service)
    steps = {server.address: _lost(facts, server) for server in living}
    told = []
    if not service.fallbacks:
        text = f"{service.name} has no fallback server: no client is answered until they are back"
        told.append(Step(text=text, act=None, undo=None))
    return _held([*told, *steps.values()], _down(facts, service, living))


def _all_servers_lacks(facts: Facts) -> list[Obstacle]:
    found = [*_named(facts), *tool(facts, "ip")]
    service = _service(facts, lambda each: bool(_living(facts, each)))
    if service is None:
        return [*found, Obstacle("no server is up", final=True)]
    living = _living(facts, service)
    if len(living) > SERVERS_MAX:
        sentence = f"{service.name} has more than {SERVERS_MAX} servers up"
        return [*found, Obstacle(sentence, final=True)]
    return [*found, *_own(facts, living)]


def _all_servers_ms(facts: Facts) -> float:
    """With a fallback server until it serves; else until all are back."""
    service = _service(facts, lambda each: bool(_living(facts, each)))
    if service is None:
        return budgets.UNHARMED_MS
    down = budgets.all_down_ms(service)
    if service.fallbacks:
        return down
    back = max(budgets.rise_ms(server.check or service.check) for server in service.servers)
    return down + back + SLOW_MS


def _one_server_ms(facts: Facts) -> float:
    """Until it is out, a dead server may draw every new client."""
    service = _service(facts, _has_two(facts))
    return budgets.UNHARMED_MS if service is None else budgets.all_down_ms(service)


def _own(facts: Facts, servers: list[Server]) -> list[Obstacle]:
    found = []
    for address in dict.fromkeys(str(server.address) for server in servers):
        if address in facts.own_addresses:
            sentence = f"{address} is an address of this host: no route leads away from it"
            found.append(Obstacle(sentence, final=True))
        elif not facts.way_to(address):
            found.append(Obstacle(f"no route of this host leads to {address}", final=True))
    return found


# Links


def _link_loss(facts: Facts) -> Planned:
    link = facts.link
    assert link is not None
    dev = ("dev", link.name)
    kept = [
        Step(
            text=f"note the route {route}",
            act=None,
            undo=Run(("ip", f"-{version}", "route", "replace", *route.split(), *dev)),
        )
        for version, route in link.routes
    ]
    kept += [
        Step(
            text=f"note the address {address}",
            act=None,
            undo=Run(("ip", "-6", "address", "replace", address, *dev)),
        )
        for address in link.addresses
    ]
    promises = tuple(
        Promise(f"{name} is given up here", SLOW_MS, _given_up(name))
        for name in _carried(facts, link.name)
    )
    cut = Step(
        text=f"cut the link {link.name}",
        act=Run(("ip", "link", "set", *dev, "down")),
        undo=Run(("ip", "link", "set", *dev, "up")),
        hold_s=lasting(promises) + budgets.takeover_ms(facts.config) / 1000,
    )
    return (*kept, cut), promises


def _given_up(name: str) -> Callable[[Look], bool]:
    def holds(look: Look) -> bool:
        routers = look.status.get("routers", [])
        return any(each["name"] == name and each["state"] != ACTIVE for each in routers)

    return holds


def _carried(facts: Facts, interface: str) -> list[str]:
    """The virtual routers that are active here on this interface."""
    return [
        each["name"]
        for each in facts.status["routers"]
        if each["name"] in facts.active_here and each.get("interface") == interface
    ]


def _link_lacks(facts: Facts) -> list[Obstacle]:
    if not facts.interface:
        return [Obstacle("no link is named: --interface NAME", final=True)]
    link = facts.link
    if link is None:
        return [Obstacle(f"there is no interface {facts.interface[:32]}", final=True)]
    found = tool(facts, "ip")
    if not link.up:
        found.append(Obstacle(f"{link.name} is down already", final=True))
    if len(link.routes) + len(link.addresses) >= STEPS_MAX:
        sentence = f"{link.name} has more than {STEPS_MAX} routes and addresses to put back"
        found.append(Obstacle(sentence, final=True))
    if link.why_not:
        found.append(Obstacle(link.why_not))
    return found


# What another program changes


def _repaired(word: str, facts: Facts) -> Promise:
    def holds(look: Look) -> bool:
        return any(said.startswith("repair: ") and word in said for said in look.journaled)

    return Promise(
        "it is put right, and the journal says so", budgets.audit_ms(facts.config), holds
    )


def _audit(facts: Facts) -> Run:
    """Exit code 1 says that something was repaired, which is what it is for."""
    command = facts.command("audit", bound_s=AUDIT_BOUND_S)
    return Run(command.argv, (0, 1), command.bound_s)


def _is_repaired(facts: Facts) -> Callable[[Service], bool]:
    return lambda each: each.drift is Drift.REPAIR and bool(_living(facts, each))


def _drift(facts: Facts) -> Planned:
    service = _service(facts, _is_repaired(facts))
    assert service is not None
    server = _living(facts, service)[0]
    weight = server.weight + 1
    promises = (_repaired("", facts),)
    step = Step(
        text=f"change the weight of {_key(service, server)} to {weight} behind the daemon's back",
        act=Run(("ipvsadm", "-e", *ipvsadm_names(service, server), "-w", str(weight))),
        undo=_audit(facts),
        hold_s=lasting(promises),
    )
    return (step,), promises


def _drift_lacks(facts: Facts) -> list[Obstacle]:
    found = [*_named(facts), *tool(facts, "ipvsadm")]
    if _service(facts, _is_repaired(facts)) is None:
        sentence = "no service that has a server up is repaired (drift: repair)"
        found.append(Obstacle(sentence, final=True))
    return found


def _sync_lost(facts: Facts) -> Planned:
    role = "master" if facts.active_here else "backup"
    promises = (_repaired("sync", facts),)
    step = Step(
        text=f"stop the kernel's sync daemon ({role})",
        act=Run(("ipvsadm", "--stop-daemon", role)),
        undo=_audit(facts),
        hold_s=lasting(promises),
    )
    return (step,), promises


def _sync_lacks(facts: Facts) -> list[Obstacle]:
    found = tool(facts, "ipvsadm")
    sync = facts.status["sync"]
    if sync is None:
        found.append(Obstacle("the file has no connection_sync", final=True))
    elif not sync["running"]:
        found.append(Obstacle(f"no sync daemon runs: {sync['sentence']}", final=True))
    return found


FAULT_DRILLS: Mapping[str, Drill] = MappingProxyType(
    {
        drill.name: drill
        for drill in (
            Drill(
                name="server-lost",
                title="a server cannot be reached from this director; can again",
                plan=_one_server,
                budget_ms=_one_server_ms,
                lacks=_one_server_lacks,
            ),
            Drill(
                name="all-servers-lost",
                title="no server of a service can be reached from this director; can again",
                plan=_all_servers,
                budget_ms=_all_servers_ms,
                lacks=_all_servers_lacks,
            ),
            Drill(
                name="link-loss",
                title="a link of this director goes down (--interface); comes back",
                plan=_link_loss,
                budget_ms=lambda facts: budgets.takeover_ms(facts.config),
                moves=True,
                lacks=_link_lacks,
            ),
            Drill(
                name="drift",
                title="another program changes a weight",
                plan=_drift,
                budget_ms=unharmed,
                lacks=_drift_lacks,
            ),
            Drill(
                name="sync-daemon-lost",
                title="another program stops the kernel's sync daemon",
                plan=_sync_lost,
                budget_ms=unharmed,
                lacks=_sync_lacks,
            ),
        )
    }
)
"""Those that concern what is around the daemon, in the order of `drill list`."""
