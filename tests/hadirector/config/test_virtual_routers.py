"""Everything that a virtual router may say: from the file to the worker, by way of both codecs."""

from pathlib import Path

from hadirector.config.codec import config_from_json, config_to_json
from hadirector.config.loader import load
from hadirector.elections import router_settings
from vrrp import messages
from vrrp.choices import OnLoss, Scope
from vrrp.events import State
from vrrp.hooks import Hook
from vrrp.paths import PolicyRule
from vrrp.tracked import Tracker

FILE = """\
nodes:
  lb1: {address: 192.0.2.11, priority: 254}
  lb2: {address: 192.0.2.12, priority: 253}
virtual_routers:
  - name: front
    vrid: 51
    interface: eth0
    addresses: [192.0.2.100/24]
    excluded: [198.51.100.7/32, "2001:db8::7/128"]
    scope: link
    label: mac0:vip
    virtual_mac: true
    virtual_mac_name: mac0
    accept: false
    on_loss: yield
    announce_count: 5
    announce_repeat: 2s
    announce_refresh: 1m
    preempt_delay: 30s
    routes:
      - {to: 10.0.0.0/8, via: 192.0.2.1, source: 192.0.2.100, table: 1000, metric: 5}
    rules:
      - {priority: 77, source: 192.0.2.100/32, fwmark: 3, table: 1000}
    track:
      - {interface: eth1, weight: -50, debounce: 1s}
      - {script: [/bin/true, -q], interval: 5s, timeout: 2s, rise: 1, fall: 2, user: daemon}
      - {file: /run/load, weight: 2}
      - {process: bird, weight: 10}
      - {route: default}
    hooks:
      - {command: [/bin/true], states: [active, fault], user: root, timeout: 5s, retries: 0}
      - {webhook: "https://192.0.2.5/events"}
"""


def test_every_option_survives_the_way_to_the_worker(tmp_path: Path) -> None:
    path = tmp_path / "pair.yaml"
    path.write_text(FILE)
    loaded = load(path)
    assert loaded.config is not None, loaded.render()
    assert config_from_json(config_to_json(loaded.config)) == loaded.config
    [settings] = router_settings(loaded.config, "lb1")
    told = messages.Configure(routers=(settings,), heartbeat_s=0.5)
    assert messages.decode(messages.encode(told)) == told
    assert (settings.scope, settings.on_loss) == (Scope.LINK, OnLoss.YIELD)
    assert settings.announce_refresh == 60.0
    assert settings.track[0] == Tracker(interface="eth1", weight=-50, debounce=1.0)
    assert settings.hooks[0] == Hook(
        command=("/bin/true",),
        states=(State.ACTIVE, State.FAULT),
        user="root",
        timeout=5.0,
        retries=0,
    )
    assert (settings.device, settings.accept) == ("mac0", False)
    assert settings.hardware_address == bytes.fromhex("00005e000133")
    rule = PolicyRule(priority=77, source="192.0.2.100/32", fwmark=3, table=1000)
    assert settings.paths[1] == rule
