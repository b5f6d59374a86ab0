"""Quorum, fallback servers, dynamic weights: from the file to the configuration, through JSON."""

from pathlib import Path

from hadirector.config.codec import config_from_json
from hadirector.config.loader import load
from hadirector.config.model import Service
from hadirector.quorum import Quorum, Unit, WhenLost
from hadirector.steering import Steering
from tests.hadirector.config.samples import HEAD

SERVERS = "servers: ['198.51.100.21:80', '198.51.100.22:80']"


def service(tmp_path: Path, more: str) -> Service:
    file = tmp_path / "h.yaml"
    file.write_text(
        f"{HEAD}services:\n- {{name: web, listen: 'tcp://192.0.2.100:80', forward: nat,"
        f" check: {{interval: 3s}}, {SERVERS}, {more}}}\n"
    )
    loaded = load(file)
    assert loaded.config is not None, loaded.render()
    assert config_from_json(loaded.json) == loaded.config
    [one] = loaded.config.services
    return one


def test_a_quorum_has_a_unit_and_a_hysteresis(tmp_path: Path) -> None:
    assert service(tmp_path, "quorum: 2").quorum == Quorum(need=2)
    assert service(
        tmp_path,
        "quorum: {share: 60, hysteresis: 10, when_lost: fallback}, fallback: '198.51.100.29:80'",
    ).quorum == Quorum(need=60, unit=Unit.SHARE, hysteresis=10, when_lost=WhenLost.FALLBACK)


def test_fallback_servers_are_in_order_and_may_have_checks(tmp_path: Path) -> None:
    one = service(
        tmp_path,
        "fallback: ['198.51.100.27:80', {address: '198.51.100.28:80', check: {type: http}},"
        " {address: '198.51.100.29:80', check: {}}]",
    )
    plain, http, same = one.fallbacks
    assert plain.check is None
    assert http.check is not None
    assert (http.check.kind, http.check.timing.interval) == ("http", 3.0)
    assert same.check == one.check
    assert one.checked == (*one.servers, http, same)


def test_dynamic_weights_have_defaults(tmp_path: Path) -> None:
    assert service(tmp_path, "quorum: 1").steering is None
    assert service(tmp_path, "dynamic_weight: {}").steering == Steering()
    assert service(
        tmp_path, "dynamic_weight: {step: 5, every: 1s, hysteresis: 0, latency: 50ms, least: 20}"
    ).steering == Steering(step=5, every=1.0, hysteresis=0, latency=0.05, least=20)
