from ipaddress import ip_address, ip_interface, ip_network

import pytest

from hadirector.lab.errors import LabError
from hadirector.lab.spares import Spares, subnet_of


def test_spares_come_from_the_top_and_skip_what_is_taken() -> None:
    spares = Spares([ip_address("192.0.2.254"), ip_address("192.0.2.252")])
    subnet = ip_network("192.0.2.0/24")
    assert str(spares.take(subnet)) == "192.0.2.253/24"
    assert str(spares.take(subnet)) == "192.0.2.251/24"


def test_a_full_subnet_is_an_error_that_names_it() -> None:
    spares = Spares([ip_address("192.0.2.1")])
    subnet = ip_network("192.0.2.0/30")
    assert str(spares.take(subnet)) == "192.0.2.2/30"
    with pytest.raises(LabError, match=r"no spare address left in 192\.0\.2\.0/30"):
        spares.take(subnet)


def test_a_huge_subnet_costs_nothing() -> None:
    assert str(Spares([]).take(ip_network("2001:db8::/64"))) == "2001:db8::ffff:ffff:ffff:fffe/64"


@pytest.mark.parametrize(
    ("written", "subnet"),
    [
        ("192.0.2.100/24", "192.0.2.0/24"),
        ("192.0.2.100/32", "192.0.2.0/24"),
        ("192.0.2.100/31", "192.0.2.0/24"),
        ("192.0.2.100/30", "192.0.2.100/30"),
        ("2001:db8::1/128", "2001:db8::/64"),
    ],
)
def test_a_lone_address_counts_as_in_a_usual_subnet(written: str, subnet: str) -> None:
    assert subnet_of(ip_interface(written)) == ip_network(subnet)


def test_a_bare_address_lies_in_a_usual_subnet() -> None:
    assert subnet_of(ip_address("10.1.2.3")) == ip_network("10.1.2.0/24")
