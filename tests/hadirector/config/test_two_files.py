"""Two files that two directors run: what would make two actives is refused with both places."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadirector.config.two_files import PairLoaded, load_two
from tests.hadirector.config.test_bad_files import OF_TWO_FILES

FILE = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
  - {name: front, vrid: 51, interface: eth0, addresses: [192.0.2.100/24], SAY}
services: []
"""
SAID = "advertise: 1s"
BASE = FILE.replace("SAY", SAID)
KEY = 32 * "a1"
OTHER_KEY = 32 * "b2"


def pair(directory: Path, ours: str, theirs: str, node: str | None = None) -> PairLoaded:
    for name, text in (("ours.yaml", ours), ("theirs.yaml", theirs)):
        (directory / name).write_text(text)
    made = load_two(Path("ours.yaml"), Path("theirs.yaml"), node)
    assert made.ours.config is not None, made.ours.render()
    assert made.theirs.config is not None, made.theirs.render()
    return made


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_same_file_twice_is_a_pair(tmp_path: Path) -> None:
    made = pair(tmp_path, BASE, BASE.replace("services: []", "services: [] # a comment"))
    assert made.valid
    assert made.together == ()
    assert made.ours.digest == made.theirs.digest


DIFFER = {
    "vrid": ("vrid: 51", "vrid: 52"),
    "version": ("advertise: 1s", "advertise: 1s, version: 2"),
    "advertise": ("advertise: 1s", "advertise: 2s"),
    "addresses": ("192.0.2.100/24]", "192.0.2.100/24, 192.0.2.101/24]"),
    "excluded": ("advertise: 1s", "excluded: [198.51.100.1/24]"),
    "virtual_mac": ("advertise: 1s", "virtual_mac: true"),
    "group": ("advertise: 1s", "group: web"),
    "checksum": ("advertise: 1s", "checksum: plain"),
}


@pytest.mark.parametrize("key", DIFFER)
def test_what_must_agree_is_refused_with_both_places(tmp_path: Path, key: str) -> None:
    theirs = BASE.replace(*DIFFER[key]) + ("groups: [web]\n" if key == "group" else "")
    made = pair(tmp_path, BASE, theirs)
    assert not made.valid
    (found,) = made.together
    assert str(found.rule) == "two-actives"
    assert (found.file, found.line) == ("ours.yaml", 5)
    assert f'as "{key}" of front' in found.message
    assert found.hint == "compare theirs.yaml:5; write the same for both"


def test_a_password_is_compared_and_never_shown(tmp_path: Path) -> None:
    text = FILE.replace("SAY", "version: 2, password: s3cret1")
    made = pair(tmp_path, text, text.replace("s3cret1", "s3cret2"))
    (found,) = made.together
    assert "another as" in found.message
    assert "s3cret" not in made.render()


def test_keyed_hashes_that_the_other_cannot_verify(tmp_path: Path) -> None:
    text = FILE.replace("SAY", f'hmac_keys: ["1:{KEY}"]')
    made = pair(tmp_path, text, text.replace(KEY, OTHER_KEY))
    assert {str(found.rule) for found in made.together} == {"two-actives"}
    assert "has another key 1" in made.together[0].message
    assert KEY not in made.render()


def test_two_owners_of_one_address(tmp_path: Path) -> None:
    text = BASE.replace("priority: 254", "priority: 255")
    made = pair(tmp_path, text, BASE.replace("priority: 253", "priority: 255"), node="lb1")
    (found,) = made.together
    assert found.message == "lb1 and lb2 have priority 255: both would own the addresses"
    assert {found.file, found.hint.split()[1].split(":")[0]} == {"ours.yaml", "theirs.yaml"}


def test_unicast_here_and_multicast_there(tmp_path: Path) -> None:
    peers = BASE.replace(SAID, "peers: [192.0.2.11, 192.0.2.12]")
    made = pair(tmp_path, peers, BASE)
    assert not made.valid
    assert any("speaks by multicast" in found.message for found in made.together)
    moved = peers.replace("192.0.2.12", "192.0.2.13")
    made = pair(tmp_path, peers, moved, node="lb1")
    assert any("would not hear lb2" in found.message for found in made.together)


def test_which_director_has_which_file_matters(tmp_path: Path) -> None:
    """lb1 has priority 254 here, and lb2 there."""
    swapped = BASE.replace("254", "252").replace("253", "254")
    (found,) = pair(tmp_path, BASE, swapped, node="lb1").together
    assert (found.severity, str(found.rule)) == ("warning", "same-priority")
    assert pair(tmp_path, BASE, swapped, node="lb2").together == ()
    alone = pair(tmp_path, BASE, BASE.replace("  lb1: {address: 192.0.2.11, priority: 254}\n", ""))
    assert alone.valid


def test_a_virtual_router_of_another_name_is_known_by_its_vrid_or_address(tmp_path: Path) -> None:
    assert pair(tmp_path, BASE, BASE.replace("front", "outside")).valid
    made = pair(tmp_path, BASE, BASE.replace("front", "outside").replace("vrid: 51", "vrid: 7"))
    (found,) = made.together
    assert '"vrid" of outside' in found.message


def test_a_virtual_router_that_only_one_has_is_warned_of(tmp_path: Path) -> None:
    more = "  - {name: back, vrid: 52, interface: eth1, addresses: [198.51.100.1/24]}\nservices"
    made = pair(tmp_path, BASE, BASE.replace("services", more))
    assert made.valid
    (found,) = made.together
    assert {found.rule} == OF_TWO_FILES
    assert (found.file, found.line) == ("theirs.yaml", 6)
    assert '"back" is not in ours.yaml' in found.message


def test_a_file_that_is_refused_by_itself_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(BASE)
    (tmp_path / "theirs.yaml").write_text(BASE.replace("vrid: 51", "vrid: 512"))
    made = load_two(Path("ours.yaml"), Path("theirs.yaml"))
    assert not made.valid
    assert made.together == ()
    assert made.theirs.errors
