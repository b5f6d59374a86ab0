"""Networks are told apart by what the virtual routers share, whatever a director calls it."""

from hadirector.networks import networks


def test_one_name_on_all_directors_is_one_network() -> None:
    assert networks([{"lb1": "eth0", "lb2": "eth0"}, {"lb1": "eth0", "lb2": "eth0"}]) == [0, 0]


def test_a_name_of_another_director_is_another_interface() -> None:
    assert networks([{"lb1": "eth0", "lb2": "ens3"}, {"lb1": "ens3", "lb2": "eth0"}]) == [0, 1]


def test_what_meets_on_one_director_is_one_network() -> None:
    uses = [
        {"lb1": "a", "lb2": "b"},
        {"lb1": "c", "lb2": "d"},
        {"lb1": "a", "lb2": "d"},  # joins the two
        {"lb1": "e", "lb2": "e"},
    ]
    assert networks(uses) == [0, 0, 0, 1]


def test_without_directors_nothing_is_told_apart() -> None:
    assert networks([]) == []
    assert networks([{}, {}]) == [0, 0]
