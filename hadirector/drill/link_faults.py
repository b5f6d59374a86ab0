"""The faults of a rehearsal that strike links, or both directors at once; told as in `faults`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address

from hadirector.config.model import Config
from hadirector.drill import budgets
from hadirector.drill.links import Netem
from hadirector.drill.stage import Stage

SLOW = Netem(delay_ms=40, jitter_ms=10)
LOSSY = Netem(loss_percent=3)
PARTED = Netem(loss_percent=100)
"""Carrier stays: as between two switches, where nobody sees it but by silence."""
DISTURBED_ADVERTS = 4
"""How many intervals the links stay disturbed: long enough for a false failover."""
DARK_MS = 1000.0
START_MS = 30_000.0
"""From a start to the first round of checks, on a slow machine."""


def partition_heals(stage: Stage) -> None:
    """The active is cut off: the peer serves. Then the network heals, and one of them yields."""
    cut, peer = stage.active(), stage.backup()
    stage.links.disturb(cut, PARTED)
    took_ms = stage.within(
        budgets.takeover_ms(stage.config),
        f"{peer} holds all addresses",
        lambda: stage.holds_all(peer),
    )
    stage.note(f"{cut} cut off, {peer} holds all addresses after {took_ms:.0f} ms")
    stage.watch_clients()
    stage.links.clear(cut)
    bound_ms = budgets.takeover_ms(stage.config) + budgets.advertise_ms(stage.config)
    if stage.outranks(cut, peer):
        # It listens first, where it cannot know that it was not missed: see `warming`.
        bound_ms += START_MS
    one_ms = stage.within(bound_ms, "each address is on one director alone", stage.is_settled)
    stage.note(f"healed, each address on one director alone after {one_ms:.0f} ms")
    stage.expect(stage.journaled("transition"), "no change of roles is in the journal")
    stage.watch_clients()


def vrrp_parted(stage: Stage) -> None:
    """No advertisement gets through, all else does: two are active until the peer channel ends it.

    Then VRRP heals, and whoever stayed stays.
    """
    deaf, other = stage.active(), stage.backup()
    stage.links.cut_vrrp(deaf)
    split_ms = stage.within(
        budgets.takeover_ms(stage.config),
        f"{other} is active as well",
        lambda: stage.holds_all(other),
    )
    with stage.ear(deaf) as at_deaf, stage.ear(other) as at_other:
        ears, before = {deaf: at_deaf, other: at_other}, {deaf: 0, other: 0}

        def is_alone() -> bool:
            heard = {name: len(ear.heard()) for name, ear in ears.items()}
            if not (alone := stage.is_settled()):
                before.update(heard)  # it belongs to a takeover, whoever it is of
            return alone

        bound_ms = budgets.arbitration_ms()
        one_ms = stage.within(bound_ms, "each address is on one director alone", is_alone)
        stays = stage.active()
        stage.note(
            f"no VRRP between the two: both active after {split_ms:.0f} ms, {stays} alone "
            f"{one_ms:.0f} ms later"
        )
        yielded = other if stays == deaf else deaf
        _announced_again(stage, stays, lambda: ears[yielded].heard()[before[yielded] :])
    said = [
        sentence
        for name in stage.directors
        for sentence in stage.sentences(name, "peer")
        if "split brain" in sentence
    ]
    stage.expect(bool(said), "no director says why it stepped back")
    for sentence in said[:1]:
        stage.note(f"why: {sentence}")
    stage.watch_clients(budgets.takeover_ms(stage.config) + budgets.advertise_ms(stage.config))
    stage.expect(stage.is_settled(), "they were active again, both, while VRRP was cut")
    stage.links.heal_vrrp(deaf)
    stage.watch_clients(3 * budgets.advertise_ms(stage.config))
    stage.expect(stage.active() == stays, f"{stays} did not stay active when VRRP healed")
    stage.expect(stage.is_settled(), "an address is not where it should be after VRRP healed")
    both_ms, bound_ms = stage.held_by_both_ms(), budgets.arbitration_ms()
    stage.expect(
        both_ms <= bound_ms,
        f"both held an address for {both_ms:.0f} ms, the bound is {bound_ms:.0f} ms",
    )


def _announced_again(
    stage: Stage, stays: str, heard: Callable[[], tuple[IPv4Address, ...]]
) -> None:
    """The neighbors had heard last of the one that stepped back, which hears this as they do."""
    addresses = {
        address.ip
        for router in stage.routers
        for address in router.addresses
        if isinstance(address.ip, IPv4Address)
    }
    stage.within(
        budgets.parted_ms(),
        f"{stays} has announced its addresses again",
        lambda: addresses <= set(heard()),
    )
    listed = ", ".join(map(str, sorted(addresses))) or "none of IPv4"
    stage.note(f"{stays} alone has announced its addresses again: {listed}")


def servers_cut_off(stage: Stage) -> None:
    """Nobody reaches the servers, nor the control probe: the weights are held until they are back.

    While it lasts no client is answered; what is promised is that it ends with its cause.
    """
    names, table = list(stage.directors), stage.table(stage.active())
    stage.links.cut_servers()
    held_ms = stage.within(
        budgets.held_ms(stage.config),
        "the brakes of both directors hold",
        lambda: all(stage.brake(name) == "holding" for name in names),
    )
    stage.within(
        1000,
        "the tables are as before",
        lambda: all(stage.table(name) == table for name in names),
    )
    stage.note(f"servers and control probe cut off, all weights held after {held_ms:.0f} ms")
    stage.note(f"why: {stage.reason_of(stage.service.servers[0])}")
    stage.expect(not stage.quorum_met(), "the quorum is shown as met although no server is reached")
    stage.links.plug_servers()
    answered_by = stage.who_answers(within_ms=2000)
    stage.note(f"reconnected, {answered_by} answers")
    back_ms = stage.within(
        max(
            budgets.rise_ms(server.check or stage.service.check) for server in stage.service.servers
        ),
        "the brakes have let go",
        lambda: all(stage.brake(name) == "ready" for name in names),
    )
    stage.note(f"the checks pass again, the brakes let go after {back_ms:.0f} ms")
    stage.expect(
        all(stage.table(name) == table for name in names), "the tables are not what they were"
    )


def slow_links(stage: Stage) -> None:
    """Every packet takes long, and not equally long: no reason to change sides."""
    _disturbed(stage, SLOW)


def lossy_links(stage: Stage) -> None:
    """Some packets are lost: no reason to change sides."""
    _disturbed(stage, LOSSY)


def _disturbed(stage: Stage, how: Netem) -> None:
    active = stage.active()
    for name in stage.directors:
        stage.links.disturb(name, how)
    stage.watch_clients(DISTURBED_ADVERTS * budgets.advertise_ms(stage.config))
    for name in stage.directors:
        stage.links.clear(name)
    stage.expect(stage.who_is_active() == active, f"{active} is no longer active")
    for name in stage.directors:
        times = stage.times_active(name)
        stage.expect(times == 0, f"{name} became active {times} times because of {how}")
    stage.note(f"links with {how}: {active} stayed active")


def both_lost(stage: Stage) -> None:
    """Nobody is left for a moment; then both return, and serve by themselves."""
    names = list(stage.directors)
    for name in names:
        stage.power_off(name)
    stage.watch_clients(DARK_MS)
    for name in names:
        stage.power_on(name)
    took_ms = stage.within(START_MS, "the clients are answered", stage.answered_lately)
    stage.note(f"both without power, both back; clients answered after {took_ms:.0f} ms")
    for name in names:
        stage.within(START_MS, f"{name} is ready", partial(stage.is_ready, name))
    bound_ms = START_MS + budgets.takeover_ms(stage.config)
    stage.within(bound_ms, "each address is on one director alone", stage.is_settled)


def both_lost_ms(config: Config) -> float:
    """Dark, then a start, an election, and the first checks."""
    return DARK_MS + START_MS + budgets.takeover_ms(config)
