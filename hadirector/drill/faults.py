"""The faults of a rehearsal, each a short story: what is done, and what must be seen then.

They are told with the verbs of the stage. What a fault promises is checked with `within` (it must
become true in time) and `expect` (it must be true now); what was seen goes into notes. The stage
measures the clients all the while. How long the clients may wait stands in `scenarios`.
"""

from __future__ import annotations

from hadirector.drill import budgets
from hadirector.drill.ipvsadm import ipvsadm_names
from hadirector.drill.stage import Stage


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
    stage.nothing_lost_from_now_on("requests are lost although the dead server is out of the table")
    stage.lost_only_by_the_dead("requests to living servers are lost")
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
    if service.fallbacks:
        fallback = service.fallbacks[0]
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
            30_000, f"{back} holds what it is preferred for, alone", stage.is_settled
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


def graceful_stop(stage: Stage) -> None:
    """The active director is stopped as a service manager does it: the peer takes over first."""
    stopped, peer = stage.active(), stage.backup()
    stage.stop(stopped)
    _leaves(stage, stopped, peer, what="stopped with SIGTERM")


def supervisor_killed(stage: Stage) -> None:
    """`kill -9` of the active's supervisor: its children leave in good order by themselves."""
    hurt, peer = stage.active(), stage.backup()
    stage.kill(hurt, "supervisor")
    _leaves(stage, hurt, peer, what="its supervisor killed")


def _leaves(stage: Stage, leaving: str, peer: str, *, what: str) -> None:
    """What must be seen when a whole director leaves in good order, whatever the cause."""
    took_ms = stage.within(
        budgets.will_ms(stage.config),
        f"{peer} holds all addresses",
        lambda: stage.holds_all(peer),
    )
    gone_ms = stage.within(
        budgets.advertise_ms(stage.config) + budgets.will_ms(stage.config),
        f"no address is left on {leaving}",
        lambda: stage.holds_none(leaving),
    )
    stage.within(5000, f"no process is left on {leaving}", lambda: stage.is_deserted(leaving))
    stage.note(
        f"{leaving}: {what}; {peer} holds all addresses after {took_ms:.0f} ms, {leaving} none "
        f"{gone_ms:.0f} ms later, and no process of it is left"
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
    stage.nothing_lost("requests are lost although only the director process died")


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
    stage.run(active, "ipvsadm", "-e", *ipvsadm_names(service, server), "-w", "77")
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
    router = stage.routers[0]
    address, interface = str(router.addresses[0]), stage.device_of(active, router)
    stage.run(active, "ip", "address", "del", address, "dev", interface)
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
    stage.nothing_lost("requests are lost by a reload")


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
    stage.nothing_lost("requests are lost by a refused reload")


def sync_daemon_lost(stage: Stage) -> None:
    """Somebody stops the active's sync daemon: it runs again, as the role asks."""
    active = stage.active()
    before = stage.sync_daemons(active)
    stage.expect(bool(before), f"no sync daemon runs on {active}")
    stage.stop_sync(active)
    took_ms = stage.within(
        budgets.audit_ms(stage.config),
        f"the sync daemon of {active} runs again",
        lambda: stage.sync_daemons(active) == before,
    )
    stage.note(f"sync daemon of {active} stopped, runs again after {took_ms:.0f} ms")
    stage.nothing_lost("requests are lost although only the sync daemon was stopped")
