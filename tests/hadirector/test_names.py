"""What a typed name stands for, and that a wrong one is refused with the near one."""

from dataclasses import replace

import pytest

from hadirector.config.model import Config
from hadirector.names import server_called, servers_called
from hadirector.router_answers import UnknownSubjectError
from tests.hadirector.test_pool import FIRST, SECOND, WEB, server

FALLBACK = "web/198.51.100.29:80"
CONFIG = Config(nodes={}, virtual_routers=(), services=(WEB,))


def test_a_service_and_a_server() -> None:
    assert list(servers_called(CONFIG, "web")) == [FIRST, SECOND]
    assert servers_called(CONFIG, SECOND) == {SECOND: (WEB, WEB.servers[1])}
    assert server_called(CONFIG, FIRST) == FIRST


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("wbe", 'no service is called "wbe"; did you mean "web"?'),
        ("x/198.51.100.21:80", 'no service is called "x"; there is: web'),
        ("", 'no service is called ""; there is: web'),
        (
            "web/198.51.100.1:80",
            f'"web" has no server "198.51.100.1:80"; did you mean "{FIRST}"?',
        ),
        ("web/", f'"web" has no server ""; there is: {FIRST}, {SECOND}'),
        (
            FALLBACK,
            f"{FALLBACK} is a fallback server: it has no check, and serves when no other does",
        ),
        ("web", f'"web" is a service; name one server: {FIRST}, {SECOND}'),
    ],
)
def test_a_name_that_does_not_exist_is_refused(what: str, sentence: str) -> None:
    with pytest.raises(UnknownSubjectError) as error:
        server_called(CONFIG, what)
    assert str(error.value) == sentence


def test_of_many_servers_only_some_are_told() -> None:
    many = replace(WEB, servers=tuple(server(number) for number in range(1, 100)))
    with pytest.raises(UnknownSubjectError, match=r"and 89 more$"):
        server_called(replace(CONFIG, services=(many,)), "web")
