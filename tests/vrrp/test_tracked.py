"""What a tracker may say, and a verdict that does not flap."""

from typing import Any

import pytest

from vrrp.steady import Streak
from vrrp.tracked import Tracker


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "names one of interface, script, file, process, route, service, not nothing"),
        ({"interface": "eth1", "route": "default"}, "not interface and route"),
        ({"interface": "eth1", "rise": 5}, "rise: it belongs to trackers of script or process or"),
        ({"script": ("/bin/well",), "debounce": 1.0}, "debounce: it belongs to trackers of inter"),
        ({"service": "web", "weight": 0}, "weight: 0 changes nothing"),
        ({"script": ("well",)}, 'script: "well" is not a whole path'),
        ({"script": ("/bin/well",), "timeout": 2.0}, "timeout: it is above the interval"),
        ({"file": "run/drain"}, 'file: "run/drain" is not a whole path'),
        ({"route": "somewhere"}, 'route: "somewhere" is no network'),
        ({"route": "10.0.0.1/8"}, 'route: "10.0.0.1/8" is no network'),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("/", "/")):
        Tracker(**values)


def test_names() -> None:
    assert Tracker(script=("/bin/well", "-q")).name == "script /bin/well"
    assert Tracker(service="web").name == "service web"
    assert str(Tracker(route="default").network) == "0.0.0.0/0"
    assert str(Tracker(route="2001:db8::/32").network) == "2001:db8::/32"
    assert Tracker(service="web").network is None


def test_the_first_result_decides_and_then_so_many_in_a_row() -> None:
    streak = Streak(rise=2, fall=3)
    assert streak.note(False)
    assert [streak.note(True) for _ in range(3)] == [False, True, False]
    assert [streak.note(well) for well in (False, False, True, False, False, False)] == [
        False, False, False, False, False, True,
    ]  # fmt: skip
    assert streak.well is False
