"""What is done to the links of a rehearsal, as the commands that would run."""

from __future__ import annotations

from pathlib import Path

from hadirector.config.loader import load
from hadirector.drill.links import without_vrrp
from hadirector.drill.scenarios import SCENARIOS

CONFIGS = Path(__file__).parents[3] / "configs"


def test_vrrp_alone_is_dropped_both_ways_in_both_families() -> None:
    qdisc, *filters = without_vrrp("port7")
    assert qdisc == "qdisc replace dev port7 clsact"
    assert filters == [
        # tc takes the number of a protocol in hexadecimal: 0x70 is 112, VRRP.
        f"filter add dev port7 {way} protocol {family} prio {prio} flower ip_proto 0x70 action drop"
        for way in ("ingress", "egress")
        for family, prio in (("ip", 1), ("ipv6", 2))
    ]


def test_only_a_pair_with_a_channel_can_be_parted_while_the_channel_stays() -> None:
    parted = SCENARIOS["vrrp-parted"]
    for name, why_not in (("peer", None), ("quickstart", "there is no peer channel in the file")):
        config = load(CONFIGS / f"{name}.yaml").config
        assert config is not None
        assert parted.needs(config) == why_not
