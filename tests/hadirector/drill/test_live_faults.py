"""Servers, links and tables: what is cut is what was meant, and what is put back is what was."""

from __future__ import annotations

from dataclasses import replace

from hadirector.config.loader import load
from hadirector.drill.catalogue import DRILLS
from hadirector.drill.facts import lost_addresses, lost_routes, needed_by_operator
from hadirector.drill.live import Look, Promise, obstacles
from hadirector.drill.live_file import BROKEN
from tests.hadirector.drill.facts import facts, status

SHOWN = """\
default via 192.0.2.1 proto static metric 100 linkdown
192.0.2.0/24 proto kernel scope link src 192.0.2.11
10.0.0.0/8 via 192.0.2.9 table 77
local 192.0.2.11 table local proto kernel scope host src 192.0.2.11
2001:db8:9::/64 proto ra metric 100 pref medium
"""
KNOWN = [
    {"family": "inet", "local": "192.0.2.11", "prefixlen": 24, "scope": "global"},
    {"family": "inet6", "local": "2001:db8::b", "prefixlen": 64, "scope": "global"},
    {"family": "inet6", "local": "2001:db8::64", "prefixlen": 64, "scope": "global"},
    {"family": "inet6", "local": "2001:db8:9::1", "prefixlen": 64, "dynamic": True},
    {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
]


def sentences(name: str, known: object = None) -> list[str]:
    return [each.sentence for each in obstacles(DRILLS[name], known or facts())]  # type: ignore[arg-type]


def test_a_lost_server_is_seen_by_its_checks() -> None:
    known = facts()
    steps, (promise,) = DRILLS["server-lost"].plan(known)
    assert len(steps) == 1
    server = known.config.services[0].servers[0].address
    nobody = f"{server}/32 via 192.0.0.8 dev eth1 onlink proto 77"
    assert str(steps[0].act) == f"ip -4 route add {nobody}"
    assert str(steps[0].undo) == f"ip -4 route flush exact {server}/32 proto 77"
    assert isinstance(promise, Promise)
    assert not promise.holds(Look(known.status))
    down = [
        {**s, "servers": [{**e, "state": "down"} for e in s["servers"]]}
        for s in known.status["services"]
    ]
    assert promise.holds(Look(status(services=down)))
    assert not promise.holds(Look({}))  # nobody says so


def test_the_last_server_is_not_taken_away_by_the_drill_of_one() -> None:
    none = status(services=[{**s, "servers": s["servers"][:1]} for s in status()["services"]])
    assert "none would be left" in sentences("server-lost", replace(facts(), status=none))[0]
    assert sentences("all-servers-lost", replace(facts(), status=none)) == []


def test_who_is_to_confirm_it_is_told_that_no_client_is_answered_meanwhile() -> None:
    known = facts()
    service = known.config.services[0]
    for fallbacks, told in (((), True), (service.servers[:1], False)):
        changed = replace(service, fallbacks=fallbacks)
        config = replace(known.config, services=(changed, *known.config.services[1:]))
        steps, _ = DRILLS["all-servers-lost"].plan(replace(known, config=config))
        assert ("no client is answered" in steps[0].text) is told
        assert sum(step.act is not None for step in steps) == len(service.servers)


def test_servers_that_no_route_can_cut_off_and_unknown_services_are_named() -> None:
    known = facts()
    own = frozenset(str(s.address) for each in known.config.services for s in each.servers)
    here = replace(known, own_addresses=own)
    assert "is an address of this host" in sentences("all-servers-lost", here)[0]
    nowhere = replace(known, way_to=lambda _: "")
    assert "no route of this host leads to" in sentences("server-lost", nowhere)[0]
    unknown = replace(known, service="wbe")
    assert sentences("server-lost", unknown)[0].startswith('no service is called "wbe"')


def test_a_link_is_named_there_up_and_not_the_operators() -> None:
    known = facts()
    assert sentences("link-loss", replace(known, interface="")) == [
        "no link is named: --interface NAME"
    ]
    assert sentences("link-loss", replace(known, link=None)) == ["there is no interface eth0"]
    assert known.link is not None
    down = replace(known, link=replace(known.link, up=False))
    assert sentences("link-loss", down) == ["eth0 is down already"]
    mine = replace(known, link=replace(known.link, why_not="your own session"))
    (found,) = obstacles(DRILLS["link-loss"], mine)
    assert not found.final


def test_a_link_gets_back_what_it_had_in_an_order_that_works() -> None:
    steps, _ = DRILLS["link-loss"].plan(facts())
    undone = [str(step.undo) for step in reversed(steps)]
    assert undone == [
        "ip link set dev eth0 up",
        "ip -6 address replace 2001:db8::1/64 dev eth0",
        "ip -4 route replace default via 192.0.2.1 dev eth0",
    ]


def test_what_comes_back_by_itself_is_not_noted() -> None:
    assert lost_routes(SHOWN) == [
        "default via 192.0.2.1 proto static metric 100",
        "10.0.0.0/8 via 192.0.2.9 table 77",
    ]
    assert lost_addresses(KNOWN, {"2001:db8::64"}) == ("2001:db8::b/64",)


def test_the_session_of_the_operator_is_known_by_either_end() -> None:
    def way(address: str) -> str:
        return "eth1" if address == "203.0.113.7" else ""

    assert needed_by_operator("eth0", "", KNOWN, way) == ""
    assert needed_by_operator("eth0", "203.0.113.7 192.0.2.11", KNOWN, way)
    assert needed_by_operator("eth1", "203.0.113.7 198.51.100.1", KNOWN, way)
    assert not needed_by_operator("eth2", "203.0.113.7 198.51.100.1", KNOWN, way)


def test_what_another_program_changes_is_put_right_by_the_daemon() -> None:
    for name in ("drift", "sync-daemon-lost"):
        steps, (promise,) = DRILLS[name].plan(facts())
        assert str(steps[0].act).startswith("ipvsadm ")
        assert not promise.holds(Look(status()))
        said = ("repair: another program changed the sync daemons",)
        assert promise.holds(Look(status(), frozenset(), said))
        assert sentences(name, replace(facts(), tools=frozenset())) == [
            "ipvsadm is not there: install ipvsadm"
        ]


def test_a_bad_file_is_seen_by_the_daemon_alone_and_is_read_no_more_before_it_is_gone() -> None:
    known = replace(facts(), enter=("nsenter", "--mount=/proc/100/ns/mnt", "--"))
    steps, (promise,) = DRILLS["reload-bad-file"].plan(known)
    assert [str(step.undo) for step in reversed(steps) if step.undo] == [
        "nsenter --mount=/proc/100/ns/mnt -- umount --quiet --lazy /etc/hadirector.yaml",
        "hadirector reload --runtime-dir /run/hadirector",
    ]
    refused = ("reload: reload refused, everything goes on as before: 4:1",)
    assert promise.holds(Look(status(), journaled=refused))
    assert not promise.holds(Look(status(digest="4567"), journaled=refused))
    assert not promise.holds(Look(status()))
    assert load(BROKEN).errors
    without = replace(known, tools=frozenset({"ip", "mount", "umount"}))
    assert sentences("reload-bad-file", without) == ["nsenter is not there: install util-linux"]
    assert sentences("reload-bad-file", replace(without, enter=())) == []
