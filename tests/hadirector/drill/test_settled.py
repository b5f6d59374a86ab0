"""Whether the addresses are where they belong, judged for each set that moves together."""

from __future__ import annotations

from pathlib import Path

from hadirector.config.loader import load
from hadirector.config.model import Config
from hadirector.drill.settled import Holds, holders, is_settled

CONFIGS = Path(__file__).parents[3] / "configs"
WWW, SHOP = "192.0.2.100", "192.0.2.101"


def config(name: str) -> Config:
    loaded = load(CONFIGS / f"{name}.yaml")
    assert loaded.config is not None
    return loaded.config


def held(**by_director: list[str]) -> Holds:
    return lambda name, address: str(address.ip) in by_director.get(name, [])


def test_an_active_active_pair_is_settled_when_each_has_its_own() -> None:
    pair = config("active-active")
    assert is_settled(pair, held(lb1=[WWW], lb2=[SHOP]))
    assert not is_settled(pair, held(lb1=[WWW, SHOP]))  # lb2 is preferred for one
    assert not is_settled(pair, held(lb1=[SHOP], lb2=[WWW]))
    assert not is_settled(pair, held(lb1=[WWW], lb2=[WWW, SHOP]))
    assert not is_settled(pair, held(lb1=[WWW]))


def test_a_group_has_to_be_whole() -> None:
    pair = config("quickstart")
    front, back = (str(router.addresses[0].ip) for router in pair.virtual_routers)
    assert is_settled(pair, held(lb1=[front, back]))
    assert not is_settled(pair, held(lb1=[front], lb2=[back]))
    assert not is_settled(pair, held(lb1=[front, back], lb2=[back]))
    assert holders(pair, pair.virtual_routers, held(lb2=[front, back])) == ["lb2"]


def test_without_preemption_either_may_have_them(tmp_path: Path) -> None:
    text = (CONFIGS / "active-active.yaml").read_text()
    path = tmp_path / "pair.yaml"
    path.write_text(text.replace("advertise: 1s", "preempt: false\n    advertise: 1s"))
    pair = load(path).config
    assert pair is not None
    assert is_settled(pair, held(lb1=[WWW, SHOP]))
    assert not is_settled(pair, held(lb1=[WWW, SHOP], lb2=[SHOP]))
