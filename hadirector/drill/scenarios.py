"""The scenarios of a rehearsal: a fault each, what must be seen, and how long it may hurt.

Each is a short story told with the verbs of the stage. What it promises it checks with `within`
(it must become true in time) and `expect` (it must be true now); what was seen goes into notes.
The stage measures the clients all the while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hadirector.config.model import Config
from hadirector.drill import budgets
from hadirector.drill.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault and its budget. `needs` says why a configuration cannot show it, or None."""

    name: str
    title: str
    act: Callable[[Stage], None]
    budget_ms: Callable[[Config], float]
    prepare: Callable[[Stage], None] = Stage.heal
    needs: Callable[[Config], str | None] = lambda _config: None


def server_dies(stage: Stage) -> None:
    """One server process dies, leaves the table, comes back; the others are not disturbed."""
    service, victim = stage.service, stage.service.servers[0]
    check = victim.check or service.check
    stage.kill_server(victim)
    out_ms = stage.within(
        budgets.fall_ms(check), f"{victim} is out of both tables", lambda: not stage.in_any(victim)
    )
    stage.note(f"{victim} killed, out of both tables after {out_ms:.0f} ms")
    stage.note(f"why: {stage.reason_of(victim)}")
    stage.lost_from_now_on(0, "requests are lost although the dead server is out of the table")
    stage.watch_clients()
    stage.start_server(victim)
    in_ms = stage.within(
        budgets.rise_ms(check), f"{victim} is in both tables", lambda: stage.in_all(victim)
    )
    stage.note(f"{victim} started, in both tables after {in_ms:.0f} ms")


def all_servers_die(stage: Stage) -> None:
    """Every server of the service dies: the fallback serves, the lost quorum is visible."""
    service = stage.service
    for server in service.servers:
        stage.kill_server(server)
    out_ms = stage.within(
        budgets.all_down_ms(service),
        "every server is out of both tables",
        lambda: not any(stage.in_any(server) for server in service.servers),
    )
    stage.note(f"{len(service.servers)} servers killed, all out after {out_ms:.0f} ms")
    if service.fallback is not None:
        fallback = service.fallback
        stage.within(1000, f"fallback {fallback} is in", lambda: stage.in_all(fallback))
        answered_by = stage.who_answers(within_ms=2000)
        stage.expect(
            answered_by == str(fallback.address), f"{answered_by} answers, not the fallback server"
        )
        stage.note(f"fallback server {fallback} answers")
    stage.within(1000, "the lost quorum is shown", lambda: not stage.quorum_met())
    stage.expect(stage.journaled("quorum"), "the loss of the quorum is not in the journal")
    for server in service.servers:
        stage.start_server(server)
    in_ms = stage.within(
        max(budgets.rise_ms(server.check or service.check) for server in service.servers),
        "every server is in both tables",
        lambda: all(stage.in_all(server) for server in service.servers),
    )
    stage.note(f"servers started, all in after {in_ms:.0f} ms")
    stage.within(2000, "the quorum is shown as met", stage.quorum_met)


def power_loss(stage: Stage) -> None:
    """The active director loses power: its links go and its processes are killed."""
    lost, peer = stage.active(), stage.backup()
    stage.power_off(lost)
    took_ms = stage.within(
        budgets.takeover_ms(stage.config),
        f"{peer} holds all addresses",
        lambda: stage.holds_all(peer),
    )
    stage.note(f"{lost} lost power, {peer} holds all addresses after {took_ms:.0f} ms")
    stage.watch_clients()


def director_returns(stage: Stage) -> None:
    """The lost director is powered on again and takes over as configured, once."""
    back, peer = stage.off(), stage.active()
    stage.power_on(back)
    preempts = stage.outranks(back, peer)
    stage.within(30_000, f"{back} is ready", lambda: stage.is_ready(back))
    if preempts:
        took_ms = stage.within(
            30_000, f"{back} holds all addresses", lambda: stage.holds_only(back)
        )
        stage.note(f"{back} is back and active again {took_ms:.0f} ms after it was ready")
    stage.watch_clients(3 * budgets.advertise_ms(stage.config))
    times = stage.times_active(back)
    wanted = 1 if preempts else 0
    stage.expect(times == wanted, f"{back} became active {times} times, not {wanted}")


def vrrp_killed(stage: Stage) -> None:
    """`kill -9` of the active VRRP worker: its last will hands over before the addresses go."""
    hurt, peer = stage.active(), stage.backup()
    stage.kill(hurt, "vrrp")
    took_ms = stage.within(
        budgets.will_ms(stage.config),
        f"{peer} holds all addresses",
        lambda: stage.holds_all(peer),
    )
    gone_ms = stage.within(
        budgets.advertise_ms(stage.config) + budgets.will_ms(stage.config),
        f"no address is left on {hurt}",
        lambda: stage.holds_none(hurt),
    )
    stage.note(
        f"VRRP worker of {hurt} killed; {peer} holds all addresses after {took_ms:.0f} ms, "
        f"{hurt} none {gone_ms:.0f} ms later"
    )
    stage.watch_clients()


def vrrp_frozen(stage: Stage) -> None:
    """SIGSTOP of the active VRRP worker: it is fenced, and never do both hold an address long."""
    hurt, peer = stage.active(), stage.backup()
    frozen = stage.freeze(hurt, "vrrp")
    took_ms = stage.within(
        budgets.freeze_ms(stage.config),
        f"{peer} holds all addresses",
        lambda: stage.holds_all(peer),
    )
    stage.within(
        budgets.advertise_ms(stage.config) + budgets.will_ms(stage.config),
        f"no address is left on {hurt}",
        lambda: stage.holds_none(hurt),
    )
    stage.expect(not stage.lives(frozen), f"the frozen worker of {hurt} still lives")
    bound_ms = budgets.heartbeat_ms(stage.config)
    both_ms = stage.held_by_both_ms()
    stage.expect(
        both_ms <= bound_ms,
        f"both directors held an address for {both_ms:.0f} ms, the bound is {bound_ms:.0f} ms",
    )
    stage.note(
        f"VRRP worker of {hurt} frozen; {peer} holds all addresses after {took_ms:.0f} ms; both "
        f"held one for {both_ms:.0f} ms (bound {bound_ms:.0f} ms)"
    )
    stage.watch_clients()


def director_killed(stage: Stage) -> None:
    """`kill -9` of the active's director process: the kernel goes on, nothing is rewritten."""
    hurt = stage.active()
    table = stage.table(hurt)
    stage.kill(hurt, "director")
    took_ms = stage.within(
        30_000, f"the director process of {hurt} is back", lambda: stage.is_ready(hurt)
    )
    stage.expect(stage.table(hurt) == table, "the table is not what it was")
    writes = stage.writes(hurt)
    stage.expect(not writes, f"the new process wrote to the table: {'; '.join(writes)}")
    stage.note(
        f"director process of {hurt} killed, back after {took_ms:.0f} ms, table written 0 times"
    )
    stage.lost_in_all(0, "requests are lost although only the director process died")


def table_cleared(stage: Stage) -> None:
    """Somebody runs `ipvsadm -C` on the active director."""
    active = stage.active()
    table = stage.table(active)
    stage.run(active, "ipvsadm", "-C")
    took_ms = stage.within(
        budgets.audit_ms(stage.config),
        "the table is as before",
        lambda: stage.table(active) == table,
    )
    stage.within(1000, "the repair is journaled", lambda: stage.journaled("repair"))
    stage.note(f"ipvsadm -C on {active}, repaired and journaled after {took_ms:.0f} ms")
    stage.watch_clients()


def weight_changed(stage: Stage) -> None:
    """Somebody changes a server's weight with ipvsadm."""
    active, service, server = stage.active(), stage.service, stage.service.servers[0]
    table = stage.table(active)
    stage.run(active, "ipvsadm", "-e", *stage.ipvsadm_names(service, server), "-w", "77")
    stage.expect(stage.table(active) != table, "ipvsadm changed nothing")
    took_ms = stage.within(
        budgets.audit_ms(stage.config),
        "the weight is as before",
        lambda: stage.table(active) == table,
    )
    stage.within(1000, "the repair is journaled", lambda: stage.journaled("repair"))
    stage.note(
        f"weight of {server} set to 77 on {active}, repaired and journaled after {took_ms:.0f} ms"
    )


def address_deleted(stage: Stage) -> None:
    """Somebody deletes a virtual address of the active director."""
    active = stage.active()
    router = stage.config.virtual_routers[0]
    address = str(router.addresses[0])
    stage.run(active, "ip", "address", "del", address, "dev", router.interface)
    took_ms = stage.within(
        budgets.audit_ms(stage.config),
        f"{address} is back on {active}",
        lambda: stage.address_came_back(active, router.addresses[0]),
    )
    stage.within(1000, "it is journaled", lambda: stage.journaled("address"))
    stage.expect(stage.active() == active, f"{active} is no longer active")
    stage.note(f"{address} deleted on {active}, back and journaled after {took_ms:.0f} ms")
    stage.watch_clients()


def reload_adds_server(stage: Stage) -> None:
    """Reload with one server more: that difference is applied, and nothing else."""
    extra = stage.extra_server
    active = stage.active()
    stage.write_file_with_extra_server()
    for name in stage.directors:
        stage.reload(name, expect_accepted=True)
    check = extra.check or stage.service.check
    took_ms = stage.within(
        budgets.rise_ms(check), f"{extra} is in both tables", lambda: stage.in_all(extra)
    )
    writes = stage.writes(active)
    stage.expect(
        len(writes) == 1 and str(extra) in writes[0],
        f"more than the new server was written: {'; '.join(writes)}",
    )
    stage.note(f"{extra} added by reload, in both tables after {took_ms:.0f} ms: {writes[0]}")
    stage.lost_in_all(0, "requests are lost by a reload")


def reload_broken(stage: Stage) -> None:
    """Reload with a broken file: refused with its line, everything goes on."""
    active = stage.active()
    table, pids = stage.table(active), stage.pids(active)
    line = stage.write_broken_file()
    said = stage.reload(active, expect_accepted=False)
    stage.expect(f":{line}:" in said, f"the refusal does not name line {line}: {said}")
    stage.watch_clients()
    stage.expect(stage.table(active) == table, "the table changed")
    stage.expect(stage.pids(active) == pids, "a process was restarted")
    stage.expect(stage.journaled("reload"), "the refusal is not in the journal")
    stage.note(f"refused: {said}")
    stage.lost_in_all(0, "requests are lost by a refused reload")


def _pair(config: Config) -> str | None:
    if len(config.nodes) < 2 or not config.virtual_routers:
        return "there is no pair of directors in the file"
    return None


def _unharmed(_config: Config) -> float:
    return budgets.UNHARMED_MS


def _fall(config: Config) -> float:
    """Until it is out, a dead server may draw every new client: to wlc it looks idle."""
    server = config.services[0].servers[0]
    return budgets.fall_ms(server.check or config.services[0].check)


def _all_down(config: Config) -> float:
    service = config.services[0]
    if service.fallback is not None:
        return budgets.all_down_ms(service)
    rises = (budgets.rise_ms(server.check or service.check) for server in service.servers)
    return budgets.all_down_ms(service) + max(rises)


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                name="server-dies",
                title="a server process dies; comes back",
                act=server_dies,
                budget_ms=_fall,
            ),
            Scenario(
                name="all-servers-die",
                title="all servers die; come back",
                act=all_servers_die,
                budget_ms=_all_down,
            ),
            Scenario(
                name="director-killed",
                title="kill -9 of the active's director process",
                act=director_killed,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="table-cleared",
                title="somebody runs ipvsadm -C",
                act=table_cleared,
                budget_ms=budgets.audit_ms,
            ),
            Scenario(
                name="weight-changed",
                title="somebody changes a weight",
                act=weight_changed,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="address-deleted",
                title="somebody deletes a virtual address",
                act=address_deleted,
                budget_ms=budgets.audit_ms,
                needs=_pair,
            ),
            Scenario(
                name="reload-broken",
                title="reload with a broken file",
                act=reload_broken,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="reload-adds-server",
                title="reload with one server added",
                act=reload_adds_server,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="vrrp-killed",
                title="kill -9 of the active's VRRP worker",
                act=vrrp_killed,
                budget_ms=lambda _config: budgets.LAST_WILL_MS,
                needs=_pair,
            ),
            Scenario(
                name="vrrp-frozen",
                title="the active's VRRP worker freezes (SIGSTOP)",
                act=vrrp_frozen,
                budget_ms=_unharmed,
                needs=_pair,
            ),
            Scenario(
                name="power-loss",
                title="the active director loses power",
                act=power_loss,
                budget_ms=budgets.takeover_ms,
                needs=_pair,
            ),
            Scenario(
                name="director-returns",
                title="the lost director returns",
                act=director_returns,
                budget_ms=_unharmed,
                prepare=Stage.lose_the_preferred,
                needs=_pair,
            ),
        )
    }
)
"""Every scenario by name, in the order of a whole rehearsal."""
