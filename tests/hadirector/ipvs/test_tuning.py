"""Settings differ by name and text, and time-outs translate both ways."""

from hadirector.ipvs.control import Timeouts
from hadirector.ipvs.tuning import as_settings, changes, timeouts_of


def test_only_what_differs_is_changed_and_only_what_is_wanted() -> None:
    made = changes({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "0", "x": "9"})
    assert [str(change) for change in made] == ["set b to 2 (it is 0)", "set c to 3"]


def test_timeouts() -> None:
    timeouts = Timeouts(tcp_s=1, tcp_fin_s=2, udp_s=3)
    assert timeouts_of(as_settings(timeouts)) == timeouts
    assert timeouts_of({"udp-timeout": "9", "conntrack": "1"}) == Timeouts(udp_s=9)
