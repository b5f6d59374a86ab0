"""The scenarios of a rehearsal by name: each a fault, its budget, and the files it suits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hadirector.config.model import Config
from hadirector.drill import budgets, faults, link_faults, links, moves
from hadirector.drill.clients import Experience
from hadirector.drill.stage import Stage
from hadirector.lab.roles import server_addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault and its budget. `needs` says why a configuration cannot show it, or None.

    `judge`: what of its promises the clients did not see kept. `settles`: connections are opened so
    early that the other director can know them. `lacks`: why the kernel at hand cannot show it, or
    empty.
    """

    name: str
    title: str
    act: Callable[[Stage], None]
    budget_ms: Callable[[Config], float]
    prepare: Callable[[Stage], None] = Stage.heal
    needs: Callable[[Config], str | None] = lambda _config: None
    fails_over: bool = False
    settles: bool = False
    judge: Callable[[Experience], list[str]] = lambda _experience: []
    lacks: Callable[[], str] = lambda: ""

    def promises_connections(self, config: Config) -> bool:
        """Whether long-lived connections must go on although the other director takes over."""
        return self.fails_over and config.connection_sync is not None


def _pair(config: Config) -> str | None:
    if len(config.nodes) < 2 or not config.virtual_routers:
        return "there is no pair of directors in the file"
    return None


def _peers(config: Config) -> str | None:
    if config.peer is None:
        return "there is no peer channel in the file"
    return _pair(config)


def _sync(config: Config) -> str | None:
    if config.connection_sync is None:
        return "the file has no connection_sync"
    return _pair(config)


def _braked(config: Config) -> str | None:
    if config.brake is None:
        return "there is no brake in the file"
    if config.brake.control.options.address not in server_addresses(config):
        return "the lab has nothing at the address of the control probe but fallback servers"
    return None


def _unharmed(_config: Config) -> float:
    return budgets.UNHARMED_MS


def _fall(config: Config) -> float:
    """Until it is out, a dead server may draw every new client: to wlc it looks idle."""
    server = config.services[0].servers[0]
    return budgets.fall_ms(server.check or config.services[0].check)


def _all_down(config: Config) -> float:
    service = config.services[0]
    if service.fallbacks:
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
                act=faults.server_dies,
                budget_ms=_fall,
            ),
            Scenario(
                name="all-servers-die",
                title="all servers die; come back",
                act=faults.all_servers_die,
                budget_ms=_all_down,
            ),
            Scenario(
                name="servers-cut-off",
                title="all servers and the control probe are cut off; come back",
                act=link_faults.servers_cut_off,
                budget_ms=budgets.cut_off_ms,
                needs=_braked,
            ),
            Scenario(
                name="director-killed",
                title="kill -9 of the active's director process",
                act=faults.director_killed,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="table-cleared",
                title="somebody runs ipvsadm -C",
                act=faults.table_cleared,
                budget_ms=budgets.audit_ms,
            ),
            Scenario(
                name="weight-changed",
                title="somebody changes a weight",
                act=faults.weight_changed,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="address-deleted",
                title="somebody deletes a virtual address",
                act=faults.address_deleted,
                budget_ms=budgets.audit_ms,
                needs=_pair,
            ),
            Scenario(
                name="reload-broken",
                title="reload with a broken file",
                act=faults.reload_broken,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="reload-adds-server",
                title="reload with one server added",
                act=faults.reload_adds_server,
                budget_ms=_unharmed,
            ),
            Scenario(
                name="graceful-stop",
                title="the active director is stopped (SIGTERM)",
                act=faults.graceful_stop,
                budget_ms=lambda _config: budgets.LAST_WILL_MS,
                needs=_pair,
                fails_over=True,
            ),
            Scenario(
                name="vrrp-killed",
                title="kill -9 of the active's VRRP worker",
                act=faults.vrrp_killed,
                budget_ms=lambda _config: budgets.LAST_WILL_MS,
                needs=_pair,
                fails_over=True,
            ),
            Scenario(
                name="vrrp-frozen",
                title="the active's VRRP worker freezes (SIGSTOP)",
                act=faults.vrrp_frozen,
                budget_ms=_unharmed,
                needs=_pair,
                fails_over=True,
            ),
            Scenario(
                name="supervisor-killed",
                title="kill -9 of the active's supervisor",
                act=faults.supervisor_killed,
                budget_ms=_unharmed,
                needs=_pair,
                fails_over=True,
            ),
            Scenario(
                name="power-loss",
                title="the active director loses power",
                act=faults.power_loss,
                budget_ms=budgets.takeover_ms,
                needs=_pair,
                fails_over=True,
            ),
            Scenario(
                name="director-returns",
                title="the lost director returns",
                act=faults.director_returns,
                budget_ms=_unharmed,
                prepare=Stage.lose_the_preferred,
                needs=_pair,
                fails_over=True,
            ),
            Scenario(
                name="switchover",
                title="planned switchover, there and back",
                act=moves.switchover,
                budget_ms=lambda _config: budgets.LAST_WILL_MS,
                needs=_peers,
                fails_over=True,
            ),
            Scenario(
                name="switchover-interrupted",
                title="a switchover whose parties die in the middle",
                act=moves.switchover_interrupted,
                budget_ms=lambda _config: budgets.LAST_WILL_MS,
                needs=_peers,
                fails_over=True,
            ),
            Scenario(
                name="partition-heals",
                title="the network parts between the directors; heals",
                act=link_faults.partition_heals,
                budget_ms=budgets.takeover_ms,
                needs=_pair,
                fails_over=True,
                lacks=links.no_netem,
            ),
            Scenario(
                name="vrrp-parted",
                title="no advertisement gets through, the peer channel does; heals",
                act=link_faults.vrrp_parted,
                budget_ms=lambda _config: budgets.parted_ms(),
                needs=_peers,
                lacks=links.no_filters,
            ),
            Scenario(
                name="slow-links",
                title="both directors' links get slow",
                act=link_faults.slow_links,
                budget_ms=_unharmed,
                needs=_pair,
                lacks=links.no_netem,
            ),
            Scenario(
                name="lossy-links",
                title="both directors' links lose packets",
                act=link_faults.lossy_links,
                budget_ms=_unharmed,
                needs=_pair,
                lacks=links.no_netem,
            ),
            Scenario(
                name="sync-daemon-lost",
                title="somebody stops the active's sync daemon",
                act=faults.sync_daemon_lost,
                budget_ms=_unharmed,
                needs=_sync,
            ),
            Scenario(
                name="both-lost",
                title="both directors lose power; come back",
                act=link_faults.both_lost,
                budget_ms=link_faults.both_lost_ms,
                needs=_pair,
            ),
        )
    }
)
"""Every scenario by name, in the order of a whole rehearsal."""
