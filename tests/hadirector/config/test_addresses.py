"""Addresses have one spelling each, and it reads back as the same address."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.config.addresses import (
    ENDPOINT_PATTERN,
    LISTEN_PATTERN,
    AddressError,
    format_listen,
    join,
    parse_endpoint,
    parse_listen,
)
from hadirector.ipvs.model import FirewallMark, Protocol, VirtualAddress

ports = st.integers(min_value=0, max_value=65535)
# A zone ("fe80::1%eth0") is not an address that IPVS knows.
addresses = st.ip_addresses().filter(lambda each: not getattr(each, "ipv4_mapped", None))


@given(addresses, ports)
def test_an_endpoint_survives_writing_and_reading(address: object, port: int) -> None:
    text = join(address, port)  # type: ignore[arg-type]
    key = parse_endpoint(text)
    assert (key.address, key.port) == (address, port)
    assert re.search(ENDPOINT_PATTERN, text)


@given(st.sampled_from(list(Protocol)), addresses, ports)
def test_what_a_service_listens_on_survives(protocol: Protocol, address: object, port: int) -> None:
    key = VirtualAddress(protocol, address, port)  # type: ignore[arg-type]
    assert parse_listen(format_listen(key)) == key
    assert re.search(LISTEN_PATTERN, format_listen(key))


@given(st.integers(min_value=1, max_value=2**32 - 1), st.sampled_from([4, 6]))
def test_a_firewall_mark_survives(mark: int, version: int) -> None:
    key = FirewallMark(mark, version)
    assert parse_listen(format_listen(key)) == key
    assert re.search(LISTEN_PATTERN, format_listen(key))


@given(st.text(alphabet="0123456789abcdef:.[]/tcpfwmark %", max_size=40))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    for parse in (parse_endpoint, parse_listen):
        with contextlib.suppress(AddressError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tcp://192.0.2.100", '"192.0.2.100" has no port'),
        ("http://192.0.2.100:80", 'unknown protocol "http"'),
        ("tcp://[192.0.2.100]:80", '"[192.0.2.100]:80" has brackets around an IPv4 address'),
        ("tcp://[2001:db8::1]", '"[2001:db8::1]" has no port after the bracket'),
        ("tcp://[fe80::1%eth0]:80", '"fe80::1%eth0" has a zone'),
        ("tcp://[::ffff:192.0.2.1]:80", '"::ffff:192.0.2.1" is an IPv4 address in IPv6 clothes'),
        ("tcp://192.0.2.100:080", 'port "080" has leading zeros'),
        ("tcp://192.0.2.100:http", '"http" is not a port'),
        ("fwmark:0", '"0" is not a firewall mark'),
        ("fwmark:x", '"x" is not a firewall mark'),
        ("everything", '"everything" is nothing to listen on'),
    ],
)
def test_refuses_and_says_why(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=re.escape(message)):
        parse_listen(text)
