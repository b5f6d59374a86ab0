from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.dns import DnsOptions
from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.options import CheckOptions
from checkers.ping import PingOptions
from checkers.script import ScriptOptions
from checkers.tcp import TcpOptions
from checkers.tls import TlsOptions
from hadirector.ipvs.model import FirewallMark, Forward, Protocol
from hadirector.lab.actors import Answers, response
from hadirector.lab.certificates import subject_names
from hadirector.lab.errors import LabError
from hadirector.lab.roles import Answer, Listener, listeners_of, server_addresses
from hadirector.lab.world import build_world
from tests.lab.configurations import NAT, config_of, server, service

ADDRESS = ip_address("198.51.100.21")


def listeners(*servers: object, protocol: Protocol = Protocol.TCP) -> tuple[Listener, ...]:
    services = [
        service(f"s{number}", 80 + number, Forward.NAT, each, protocol=protocol)  # type: ignore[arg-type]
        for number, each in enumerate(servers)
    ]
    return listeners_of(config_of(*services), ADDRESS)


def test_a_server_answers_its_check_as_configured() -> None:
    options = HttpOptions(path="/healthz", status="204,301", contains="fine")
    (listener,) = listeners(server("198.51.100.21", 8080, options))
    assert listener.port == 8080
    assert listener.answers == {"/healthz": Answer(204, "fine")}


def test_status_200_is_preferred_where_several_would_do() -> None:
    (listener,) = listeners(server("198.51.100.21", 80, HttpOptions(status="100-299")))
    assert listener.answers["/"].status == 200


def test_a_check_on_another_port_is_another_listener() -> None:
    found = listeners(server("198.51.100.21", 80, TcpOptions(port=9000)))
    assert [(each.protocol, each.port) for each in found] == [
        (Protocol.TCP, 80),
        (Protocol.TCP, 9000),
    ]


def test_a_udp_server_with_a_tcp_check_listens_to_both() -> None:
    found = listeners(server("198.51.100.21", 53, TcpOptions()), protocol=Protocol.UDP)
    assert [(each.protocol, each.port) for each in found] == [
        (Protocol.UDP, 53),
        (Protocol.TCP, 53),
    ]


def test_two_services_share_a_port_and_its_answers() -> None:
    (listener,) = listeners(
        server("198.51.100.21", 80, HttpOptions(path="/a", contains="x")),
        server("198.51.100.21", 80, HttpOptions(path="/a", contains="y")),
    )
    assert listener.answers == {"/a": Answer(200, "x\ny")}


def test_checks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(LabError, match=r"for /a: status 200 and 404"):
        listeners(
            server("198.51.100.21", 80, HttpOptions(path="/a")),
            server("198.51.100.21", 80, HttpOptions(path="/a", status=404)),
        )


def test_a_tls_port_proves_the_names_that_the_check_asks_for() -> None:
    config = config_of(
        service(
            "s",
            443,
            Forward.NAT,
            server("198.51.100.21", 443, HttpsOptions(host="www.example.org:8443")),
            server("198.51.100.22", 443, HttpsOptions(server_name="a.example.org")),
            server("198.51.100.23", 443, HttpsOptions()),
        )
    )
    servers = build_world(config, prefix="t-").servers.values()
    assert subject_names(servers) == [
        "IP:198.51.100.21",
        "DNS:www.example.org",
        "IP:198.51.100.22",
        "DNS:a.example.org",
        "IP:198.51.100.23",
    ]


def test_a_check_with_its_own_authority_cannot_be_satisfied() -> None:
    with pytest.raises(LabError, match=r"trusts only the authorities in /etc/ca\.pem"):
        listeners(server("198.51.100.21", 443, HttpsOptions(ca="/etc/ca.pem")))


def test_a_firewall_mark_is_answered_over_tcp() -> None:
    found = listeners_of(config_of(replace(NAT, listen=FirewallMark(7))), ADDRESS)
    assert found[0].protocol is Protocol.TCP


def test_each_server_is_listed_once_and_the_fallback_too() -> None:
    config = config_of(NAT, replace(NAT, fallbacks=(server("198.51.100.29", 80),)))
    assert [str(address) for address in server_addresses(config)] == [
        "198.51.100.21",
        "198.51.100.22",
        "198.51.100.29",
    ]


def test_an_answer_tells_who_gave_it() -> None:
    assert response("one", Answer(204, "fine")) == (
        b"HTTP/1.1 204 No Content\r\nServer-Name: one\r\nContent-Length: 9\r\n\r\none\nfine\n"
    )
    assert response("one", Answer(599)).startswith(b"HTTP/1.1 599 Configured\r\n")


def test_answers_are_found_by_path() -> None:
    answers = Answers("one", {"/healthz": Answer(204)})
    assert b" 204 " in answers.to(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert b" 200 " in answers.to(b"GET /other HTTP/1.1\r\n\r\n")
    assert answers.to(b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    answers.wrong = True
    assert b" 503 " in answers.to(b"GET /healthz HTTP/1.1\r\n\r\n")


def test_a_tls_check_needs_a_certificate_and_several_paths_an_answer_each() -> None:
    (tls,) = listeners(server("198.51.100.21", 993, TlsOptions(server_name="a.example.org")))
    assert tls.tls_names == ("198.51.100.21", "a.example.org")
    (http,) = listeners(server("198.51.100.21", 80, HttpOptions(path=("/a", "/b"))))
    assert http.answers == {"/a": Answer(), "/b": Answer()}


def test_a_pattern_is_answered_by_a_text_that_matches_it() -> None:
    options = HttpOptions(contains="load 3", matches=r"load \d")
    (listener,) = listeners(server("198.51.100.21", 80, options))
    assert listener.answers == {"/": Answer(200, "load 3")}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (HttpOptions(matches="load [0-9]"), "write a text that does as `contains`"),
        (HttpOptions(json_key="a", json_value=1), "a value in JSON"),
        (HttpOptions(method="POST", body="x"), "an answer to a POST"),
        (TcpOptions(expect="+OK"), "expects an answer"),
        (TlsOptions(ca="/etc/ca.pem"), "trusts only the authorities"),
    ],
)
def test_what_the_lab_cannot_answer_is_refused(options: CheckOptions, sentence: str) -> None:
    with pytest.raises(LabError, match=sentence):
        listeners(server("198.51.100.21", 80, options))


@pytest.mark.parametrize("options", [PingOptions(), ScriptOptions(shell="true")])
def test_checks_that_come_to_no_port_need_no_listener(options: CheckOptions) -> None:
    assert len(listeners(server("198.51.100.21", 80, options))) == 1


def test_a_protocol_that_the_lab_does_not_speak_is_refused() -> None:
    with pytest.raises(LabError, match=r"\(type dns\) is for a protocol that the lab's servers do"):
        listeners(server("198.51.100.21", 53, DnsOptions(name="a.example")))
