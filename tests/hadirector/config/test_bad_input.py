"""What a virtual router cannot be, sentence by sentence, each refused at its place.

The files in `bad/` show each rule by itself; here stands the list that was promised: every
impossible or contradictory option, and every difference by which two directors would both be
active.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hadirector.config.samples import findings_of, load_text

NODES = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
"""
FRONT = "name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24]"
FRONT6 = 'name: front, vrid: 51, interface: eth0, addresses: ["fe80::100/64"]'
NETWORK = "interface: eth0, addresses: [192.0.2.100/24]"
OTHER_NAME = (
    "{name: b, vrid: 51, interface: ens3, addresses: [192.0.2.101/24],"
    " nodes: {lb1: {interface: enp1s0}}}"
)
KEY = f"1:{'aa' * 32}"
OTHER_KEY = f"1:{'bb' * 32}"

IMPOSSIBLE = {
    "VRID 0": ("{name: front, vrid: 0, " + NETWORK + "}", "vrid: 0 is out of range"),
    "VRID 256": ("{name: front, vrid: 256, " + NETWORK + "}", "vrid: 256 is out of range"),
    "an interval of 0": (f"{{{FRONT}, advertise: 0s}}", "advertise: 0s is out of range"),
    "below 10 ms": (f"{{{FRONT}, advertise: 5ms}}", "advertise: 5ms is out of range"),
    "no multiple of 10 ms": (f"{{{FRONT}, advertise: 15ms}}", "VRRP counts in 10ms steps"),
    "above 40.95 s in version 3": (f"{{{FRONT}, advertise: 41s}}", "at most 40.95s"),
    "below a second in version 2": (
        f"{{{FRONT}, version: 2, advertise: 500ms}}",
        "advertise: 500ms; version 2 counts in whole seconds",
    ),
    "above 255 s in version 2": (
        f"{{{FRONT}, version: 2, advertise: 256s}}",
        "advertise: 256s is out of range",
    ),
    "version 4": (f"{{{FRONT}, version: 4}}", "version: 4 is out of range"),
    "version 2 with IPv6": (f"{{{FRONT6}, version: 2}}", "addresses: version 2 is for IPv4 only"),
    "a password of 9 characters": (
        f"{{{FRONT}, version: 2, password: ninechars}}",
        'password: "…" is longer than 8',
    ),
    "a password in version 3": (f"{{{FRONT}, password: secret}}", "password: version 3 has none"),
    "keys of one number": (
        f'{{{FRONT}, hmac_keys: ["{KEY}", "{OTHER_KEY}"]}}',
        "hmac_keys: two keys have the same number",
    ),
    "a short key": (f'{{{FRONT}, hmac_keys: ["1:aabb"]}}', "hmac_keys[0]: "),
    "unicast without peers": (f"{{{FRONT}, peers: []}}", "peers: nothing is written here"),
    "a bound of TTL without peers": (f"{{{FRONT}, min_ttl: 64}}", "peers are missing"),
    "peers of the other family": (
        f'{{{FRONT}, peers: ["2001:db8::11", "2001:db8::12"]}}',
        "peers: the virtual addresses are IPv4, so are the peers",
    ),
    "a group that nobody else is in": (f"{{{FRONT}, group: web}}", 'group: unknown group "web"'),
    "both families": (
        '{name: front, vrid: 51, interface: eth0, addresses: ["fe80::1/64", 192.0.2.100/24]}',
        "addresses: IPv4 and IPv6 cannot share a virtual router",
    ),
    "an address twice": (
        "{name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24, 192.0.2.100/24]}",
        "addresses: the same address stands in the list twice",
    ),
    "no address": (
        "{name: front, vrid: 51, interface: eth0, addresses: []}",
        "addresses: nothing is written here",
    ),
    "IPv6 without a link-local address": (
        '{name: front, vrid: 51, interface: eth0, addresses: ["2001:db8::1/64"]}',
        "the first IPv6 address has to be link-local",
    ),
    "a checksum to choose in version 2": (
        f"{{{FRONT}, version: 2, checksum: plain}}",
        "checksum: only version 3 over IPv4 has a choice",
    ),
    "a delay of what never happens": (
        f"{{{FRONT}, preempt: false, preempt_delay: 5s}}",
        "preempt_delay: nothing is delayed",
    ),
    "one VRID twice on a network": (
        f"{{{FRONT}}}\n  - {{name: b, vrid: 51, interface: eth0, addresses: [192.0.2.101/24]}}",
        "VRID 51 is used twice on interface eth0",
    ),
    "one VRID twice, by another name": (
        f"{{{FRONT}, nodes: {{lb2: {{interface: ens3}}}}}}\n  - {OTHER_NAME}",
        "VRID 51 is used twice on one network",
    ),
    "one address in two virtual routers": (
        f"{{{FRONT}}}\n  - {{name: b, vrid: 52, interface: eth1, addresses: [192.0.2.100/24]}}",
        "the address 192.0.2.100 is owned twice",
    ),
}

TWO_ACTIVES = {
    "VRID": (f"{{{FRONT}, nodes: {{lb2: {{vrid: 52}}}}}}", 'lb2 cannot have "vrid"'),
    "version": (f"{{{FRONT}, nodes: {{lb2: {{version: 2}}}}}}", 'lb2 cannot have "version"'),
    "interval": (f"{{{FRONT}, nodes: {{lb2: {{advertise: 2s}}}}}}", 'cannot have "advertise"'),
    "addresses": (
        f"{{{FRONT}, nodes: {{lb2: {{addresses: [192.0.2.101/24]}}}}}}",
        'lb2 cannot have "addresses"',
    ),
    "family": (
        f'{{{FRONT}, nodes: {{lb2: {{addresses: ["fe80::100/64"]}}}}}}',
        'lb2 cannot have "addresses"',
    ),
    "password": (
        f"{{{FRONT}, version: 2, password: one, nodes: {{lb2: {{password: two}}}}}}",
        'lb2 cannot have "password"',
    ),
    "checksum": (f"{{{FRONT}, nodes: {{lb2: {{checksum: plain}}}}}}", 'cannot have "checksum"'),
    "group": (f"{{{FRONT}, nodes: {{lb2: {{group: web}}}}}}", 'lb2 cannot have "group"'),
    "key": (
        f'{{{FRONT}, hmac_keys: ["{KEY}"], nodes: {{lb2: {{hmac_keys: ["{OTHER_KEY}"]}}}}}}',
        "lb2 has another key 1, and with key 1 lb1 signs",
    ),
    "no key": (
        f'{{{FRONT}, nodes: {{lb2: {{hmac_keys: ["{KEY}"]}}}}}}',
        "lb1 has no keys, and lb2 refuses what is not signed",
    ),
    "multicast and unicast": (
        f"{{{FRONT}, nodes: {{lb2: {{peers: [192.0.2.11]}}}}}}",
        "lb1 speaks by multicast, and lb2 hears its peers only",
    ),
    "peers that do not name each other": (
        f"{{{FRONT}, peers: [192.0.2.11, 192.0.2.12], nodes: {{lb1: {{peers: [192.0.2.13]}}}}}}",
        "lb1 would not hear lb2, which speaks from 192.0.2.12",
    ),
    "one source address": (
        f"{{{FRONT}, nodes: {{lb2: {{source: 192.0.2.11}}}}}}",
        "lb1 and lb2 would both speak from 192.0.2.11",
    ),
    "two owners": (
        f"{{{FRONT}, nodes: {{lb1: {{priority: 255}}, lb2: {{priority: 255}}}}}}",
        "lb1 and lb2 have priority 255",
    ),
}


@pytest.mark.parametrize("case", [*IMPOSSIBLE])
def test_what_is_impossible_is_refused_at_its_place(case: str, tmp_path: Path) -> None:
    written, expected = IMPOSSIBLE[case]
    loaded = load_text(tmp_path, f"{NODES}  - {written}\n")
    assert loaded.config is None
    found = loaded.errors[0]
    assert expected in f"{found.path}: {found.message}"
    assert found.line >= 5


@pytest.mark.parametrize("case", [*TWO_ACTIVES])
def test_what_would_make_two_actives_is_refused_with_both_places(case: str, tmp_path: Path) -> None:
    written, expected = TWO_ACTIVES[case]
    loaded = load_text(tmp_path, f"{NODES}  - {written}\n")
    assert loaded.config is None
    assert any(expected in found.message for found in loaded.errors), loaded.render()
    for found in loaded.errors:
        assert found.rule == "two-actives"
        assert "line " in found.hint


@pytest.mark.parametrize("priority", [0, 256, -1])
def test_a_priority_is_1_to_255(priority: int, tmp_path: Path) -> None:
    text = NODES.replace("priority: 253", f"priority: {priority}") + f"  - {{{FRONT}}}\n"
    assert findings_of(tmp_path, text) == [
        f"3:40 nodes.lb2.priority: {priority} is out of range",
    ]


def test_the_difference_may_stand_in_an_included_file(tmp_path: Path) -> None:
    shared = "nodes: {lb1: {hmac_keys: ['1:" + "aa" * 32 + "']}}"
    (tmp_path / "shared.yaml").write_text(f"virtual_routers:\n  - {{{FRONT}, {shared}}}\n")
    loaded = load_text(tmp_path, NODES.replace("virtual_routers:\n", "include: shared.yaml\n"))
    [found] = loaded.errors
    assert found.file.endswith("shared.yaml")
    assert "lb2 has no keys, and lb1 refuses what is not signed" in found.message


def test_equal_priorities_are_warned_of(tmp_path: Path) -> None:
    text = NODES + f"  - {{{FRONT}, nodes: {{lb1: {{priority: 253}}}}}}\n"
    loaded = load_text(tmp_path, text)
    assert loaded.config is not None
    assert [found.message for found in loaded.warnings] == [
        "two directors have priority 253 for front"
    ]


@pytest.mark.parametrize("kind", ["hook", "script"])
@pytest.mark.parametrize(
    ("mode", "above", "expected"),
    [
        (0o755, 0o755, None),
        (0o644, 0o755, "is not executable"),
        (0o757, 0o755, "can be written by others"),
        (0o775, 0o755, "can be written by others"),
        (0o755, 0o777, "who could replace"),
    ],
)
def test_a_program_is_executable_and_nobody_elses_to_write(
    kind: str, mode: int, above: int, expected: str | None, tmp_path: Path
) -> None:
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(mode)
    directory.chmod(above)
    what = "hooks: [{command: " if kind == "hook" else "track: [{weight: -100, script: "
    loaded = load_text(tmp_path, f"{NODES}  - {{{FRONT}, {what}[{program}]}}]}}\n")
    assert [expected in found.message for found in loaded.errors if expected] == (
        [True] if expected else []
    ), loaded.render()
    assert (loaded.config is None) == bool(expected)


def test_a_program_that_is_not_here_is_warned_of_and_so_is_its_user(tmp_path: Path) -> None:
    hooks = "hooks: [{command: [/no/such]}, {command: [/bin/true], user: no-such-user}]"
    loaded = load_text(tmp_path, f"{NODES}  - {{{FRONT}, {hooks}}}\n")
    assert [found.message for found in loaded.warnings] == [
        "/no/such is not on this host: No such file or directory",
        '/bin/true is to run as "no-such-user", and there is no such user on this host',
    ]
