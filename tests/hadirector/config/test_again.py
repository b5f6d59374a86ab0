"""A file read again after a change gives exactly what reading it whole gives.

How it works: a good file is changed line by line, over and over, by the same reader; after each
change its outcome is held against that of `load`. Where a small change must be cheap, reading the
whole file is made impossible.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hadirector.config import again
from hadirector.config.again import Reader
from hadirector.config.loader import Loaded, Reading, load
from hadirector.config.probe_marks import probe_mark

HEAD = """\
# a pair
nodes: {lb1: {address: 192.0.2.11, priority: 254}, lb2: {address: 192.0.2.12, priority: 253}}
virtual_routers:
  - name: front
    vrid: 51
    interface: eth0
    addresses: [192.0.2.100/24]
    track: [{service: s1}]
connection_sync: {interface: eth1}
defaults: {forward: nat, scheduler: mh, check: &usual {type: http, path: /healthz}}
"""
BLOCK = """\
  - name: s{number}
    listen: tcp://192.0.2.100:{port}
    check: {{<<: *usual, path: "/of-{number}"}}
    servers:
      - address: 198.51.100.{number}:80  # a comment
        weight: 2

      - 198.51.100.{other}:80
"""
FLOW = """\
  - {{name: s{number}, listen: "tcp://192.0.2.100:{port}",
     servers: ["198.51.100.{number}:80", {{address: 198.51.100.{other}:80, weight: 3}}]}}
"""
PIECES = [
    "        weight: 7\n",
    "  - {name: new, listen: tcp://192.0.2.100:99, servers: [198.51.100.9:80]}\n",
    "  - {name: s2, listen: tcp://192.0.2.100:99, servers: [198.51.100.9:80]}\n",
    "  - {name: other, listen: tcp://192.0.2.100:83, servers: [198.51.100.9:80]}\n",
    '    fallback: "\n',
    "    servers: [\n",
    "    quorum: 2\n",
    "    scheduler: wlcc\n",
    "    scheduler: wlc\n",
    "    check: &again {type: tcp}\n",
    "    check: *usual\n",
    "    persistence: |\n",
    "---\n",
    "services:\n",
    "audit: 3s\n",
    "# only words\n",
    "\n",
    "      - 198.51.100.77:80\n",
    "  -\n",
    "    name: s9\r\n",
    "{",
    "'",
]


def text_of(count: int, *, tail: str = "audit: 1s\n") -> str:
    parts = [
        (FLOW if number % 3 == 0 else BLOCK).format(
            number=number, other=number + 100, port=80 + number
        )
        for number in range(1, count + 1)
    ]
    return HEAD + "services:\n" + "".join(parts) + tail


def told(loaded: Loaded) -> tuple[object, ...]:
    return loaded.config, loaded.diagnostics, loaded.json, loaded.digest, dict(loaded.sources)


def edit(lines: list[str], dice: random.Random) -> None:
    """One change of a few lines somewhere."""
    at = dice.randrange(len(lines))
    match dice.choice(["insert", "insert", "delete", "repeat", "number", "number"]):
        case "insert":
            lines.insert(at, dice.choice(PIECES))
        case "delete":
            del lines[at : at + dice.randint(1, 5)]
        case "repeat":
            other = dice.randrange(len(lines))
            lines[at:at] = lines[other : other + dice.randint(1, 5)]
        case "number":
            lines[at] = lines[at].replace(dice.choice("123780"), dice.choice("123780"), 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["audit: 1s\n", "", "...\n", "\n# end"]))
def test_whatever_changes_the_outcome_is_that_of_reading_it_whole(seed: int, tail: str) -> None:
    dice = random.Random(seed)
    place = Path("test-again.yaml")
    reader = Reader(str(place))
    good = text_of(6, tail=tail).splitlines(keepends=True)
    lines = list(good)
    try:
        for step in range(8):
            place.write_text("".join(lines), newline="")
            assert told(reader.load()) == told(load(place)), (seed, step, "".join(lines))
            if load(place).config is None or not lines:
                lines = list(good)  # from a broken file no small step leads anywhere
            edit(lines, dice)
    finally:
        place.unlink()


@pytest.fixture(autouse=True)
def in_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def forbidden(path: Path) -> Reading:
    raise AssertionError(f"{path} is read whole")


NEW = "  - {name: new, listen: tcp://192.0.2.100:9, servers: [198.51.100.9:80]}\n"
SMALL_CHANGES = [
    ("weight: 2", "weight: 5"),
    ("weight: 3}", "weight: 4}"),
    ("      - 198.51.100.107:80\n", ""),
    ("  - name: s4\n", f"{NEW}  - name: s4\n"),
    (BLOCK.format(number=8, other=108, port=88), ""),
    ("audit: 1s\n", f"{NEW}audit: 1s\n"),
    ("# a comment", "# another"),
    ("", ""),
]


@pytest.mark.parametrize(("old", "new"), SMALL_CHANGES)
def test_a_small_change_costs_a_small_reading(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path("pair.yaml")
    place.write_text(text_of(9))
    reader = Reader(str(place))
    before = reader.load().config
    monkeypatch.setattr(again, "read", forbidden)
    changed = text_of(9)[::-1].replace(old[::-1], new[::-1], 1)[::-1]  # the last one of it
    place.write_text(changed)
    loaded = reader.load()
    assert told(loaded) == told(load(place))
    assert before is not None
    assert loaded.config is not None
    same = {id(service) for service in before.services}
    assert sum(id(service) not in same for service in loaded.config.services) <= 1
    place.write_text(text_of(9))
    assert told(reader.load()) == told(load(place))


def test_a_firewall_mark_that_is_another_services_probe_mark_is_named() -> None:
    place, probed = Path("pair.yaml"), "    check: {through_vip: true}\n    forward: dr\n"
    text = text_of(9).replace('    check: {<<: *usual, path: "/of-8"}\n', probed)
    text = text.replace("192.0.2.100:88", "192.0.2.100:80")
    place.write_text(text)
    reader = Reader(str(place))
    assert reader.load().config is not None
    mark = probe_mark("s8", "198.51.100.8:80")
    place.write_text(text.replace("tcp://192.0.2.100:82", f"fwmark:{mark}"))
    loaded = reader.load()
    assert told(loaded) == told(load(place))
    assert [str(mark) in str(error) for error in loaded.errors] == [True]


def test_what_another_configuration_has_alike_is_the_same_object() -> None:
    place = Path("pair.yaml")
    place.write_text(text_of(5))
    known = load(place).config
    place.write_text(text_of(5).replace("audit: 1s", "audit: 2s").replace("name: s2", "name: t2"))
    config = Reader(str(place)).load(known).config
    assert known is not None
    assert config is not None
    assert [one is two for one, two in zip(config.services, known.services, strict=True)] == [
        True, False, True, True, True,
    ]  # fmt: skip


def test_a_program_that_a_check_needs_and_that_vanished_is_found(tmp_path: Path) -> None:
    place, program = tmp_path / "pair.yaml", tmp_path / "check-web"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    # In the services alone, so that the reading of what changed does not meet it.
    text = text_of(6).replace('<<: *usual, path: "/of-1"', f"type: script, command: [{program}]")
    place.write_text(text)
    reader = Reader(str(place))
    assert reader.load().config is not None
    program.unlink()
    place.write_text(text.replace("198.51.100.105", "198.51.100.205"))
    last = reader.load()
    assert told(last) == told(load(place))
    assert last.config is None
