"""The check `udp`: answers, silence, and ports where nobody listens."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import OptionError, ProbeError, Reason, Target
from checkers.udp import UdpOptions
from tests.checkers import servers
from tests.checkers.datagrams import against, silent

pytestmark = pytest.mark.usefixtures("no_leak")

PING = UdpOptions(send="ping", expect="pong")


def test_the_expected_answer_passes_and_any_where_none_is_written() -> None:
    result = against(lambda data: [data.replace(b"i", b"o") + b"!"], PING)
    assert result.sentence.startswith('answered "pong" in ')
    assert [line.split(" ms  ")[1] for line in result.transcript] == ['> "ping"', '< "pong!"']
    any_answer = against(lambda _: [b"\x00\xff"], UdpOptions(send_hex="00 01"))
    assert any_answer.sentence.startswith('answered "\\x00�" in ')


def test_another_answer_fails() -> None:
    result = against(lambda _: [b"what?"], PING)
    assert result.reason is Reason.L7_CONTENT
    assert result.sentence.startswith('answered "what?", expected "pong" (L7) after ')


def test_silence_fails_unless_it_is_allowed() -> None:
    result = against(silent, PING, timeout_s=0.2)
    assert (result.reason, result.sentence[:20]) == (Reason.L7_TIMEOUT, "no answer (L7) after")
    allowed = against(silent, replace(PING, silence=True), timeout_s=0.2)
    assert allowed.sentence.startswith("no error from the network in 2")
    assert not against(lambda _: [b"what?"], replace(PING, silence=True)).healthy


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("silence", [True, False])
def test_nobody_listens(address: str, silence: bool) -> None:
    made = replace(PING, silence=silence).make_probe()
    result = asyncio.run(made.probe(Target(ip_address(address), servers.free_port()), 2.0))
    assert result.reason is Reason.L4_REFUSED
    assert result.sentence.startswith("nobody listens (ICMP port unreachable) (L4) after ")


def test_no_way_there_is_our_fault() -> None:
    broadcast = Target(ip_address("255.255.255.255"), 9)
    with pytest.raises(ProbeError, match=r"no way to .*: permission denied \(EACCES\)"):
        asyncio.run(PING.make_probe().probe(broadcast, 2.0))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"send": None}, "send"),
        ({"send_hex": "00"}, "send_hex"),
        ({"expect": "a", "expect_hex": "61"}, "expect_hex"),
    ],
)
def test_options_that_cannot_work_name_their_field(change: dict[str, str], field: str) -> None:
    with pytest.raises(OptionError) as error:
        replace(PING, **change)  # type: ignore[arg-type]
    assert error.value.field == field
