"""The codec: golden bytes dumped by a Linux 6.1 kernel, round trips, and damaged input."""

import struct
import sys
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs import messages
from hadirector.ipvs.attributes import Command
from hadirector.ipvs.messages import InexpressibleError
from hadirector.ipvs.model import (
    Counters,
    Destination,
    DestinationKey,
    Entry,
    Forward,
    Persistence,
    Protocol,
    Service,
    Traffic,
    Tunnel,
    TunnelType,
    VirtualAddress,
)
from hadirector.ipvs.steps import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    SetDestination,
    SetService,
    Step,
)
from hadirector.ipvs.wire import WireError, pack_attribute, unpack_attributes
from tests.hadirector.ipvs.strategies import destinations, services

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="bytes of an x86-64 kernel")

WEB = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)
SERVICE = Service(WEB, "wlc", Persistence(300, 0xFFFFFF00, "sip"))
SERVER = Destination(
    DestinationKey(ip_address("2001:db8:51::21"), 8080),
    Forward.TUN,
    weight=3,
    upper=10,
    lower=5,
    tunnel=Tunnel(TunnelType.GUE, 6080, 1),
)

# Dumped by Linux 6.1.176 for SERVICE and SERVER; the counters were all zero, so one of each kind
# stands for them here (attribute 10: 32-bit counters, 12: 64-bit counters).
DUMPED_SERVICE = """
    06000100 02000000  06000200 06000000  14000300 c0000264000000000000000000000000
    06000400 00500000  08000600 776c6300  08000b00 73697000  0c000700 03000000ffffffff
    08000800 2c010000  08000900 ffffff00  0c000a00 08000100 07000000
    10000c00 0c000100 0900000000000000
"""
DUMPED_SERVER = """
    14000100 20010db8005100000000000000000021  06000200 1f900000  08000300 02000000
    08000400 03000000  05000d00 01000000  06000e00 17c00000  06000f00 01000000
    08000500 0a000000  08000600 05000000  08000700 04000000  08000800 02000000
    08000900 01000000  06000b00 0a000000
"""


def dumped(top: int, text: str) -> bytes:
    return pack_attribute(top, bytes.fromhex(text))


@little_endian
def test_a_service_as_the_kernel_dumps_it() -> None:
    service, traffic = messages.decode_service(dumped(1, DUMPED_SERVICE))
    assert service == SERVICE
    assert service.unknown == ()
    assert traffic == Traffic(connections=9)


@little_endian
def test_a_server_as_the_kernel_dumps_it() -> None:
    server, counters = messages.decode_destination(
        dumped(2, DUMPED_SERVER), version=4, traffic=False
    )
    assert server == SERVER
    assert counters == Counters(active=4, inactive=2, persistent=1)


@little_endian
def test_the_info_as_the_kernel_tells_it() -> None:
    info = messages.decode_info(bytes.fromhex("08000100010201000800020000100000"))
    assert (info.version, info.connection_table_size) == ((1, 2, 1), 4096)


@given(services())
def test_services_survive_the_wire(service: Service) -> None:
    assert messages.decode_service(messages.encode_service(service))[0] == service


@given(st.sampled_from([4, 6]).flatmap(destinations))
def test_servers_survive_the_wire(destination: Destination) -> None:
    payload = messages.encode_destination(destination)
    assert messages.decode_destination(payload, version=4)[0] == destination


def test_each_step_has_its_command() -> None:
    other = replace(SERVER, weight=1)
    steps: dict[Command, Step] = {
        Command.NEW_SERVICE: AddService(SERVICE),
        Command.SET_SERVICE: SetService(SERVICE, SERVICE),
        Command.DEL_SERVICE: DeleteService(Entry(SERVICE, {})),
        Command.NEW_DEST: AddDestination(WEB, SERVER),
        Command.SET_DEST: SetDestination(WEB, SERVER, other),
        Command.DEL_DEST: DeleteDestination(WEB, SERVER),
    }
    for command, step in steps.items():
        request = messages.encode(step)
        assert request.command == command
        tops = unpack_attributes(request.payload)
        assert list(tops) == ([1, 2] if command >= Command.NEW_DEST else [1])
    assert (
        messages.get_destinations(WEB).payload
        == messages.encode(steps[Command.DEL_SERVICE]).payload
    )


def test_the_kernels_own_flag_is_never_sent() -> None:
    """A service that arrives with the hashed flag set would never be found by the kernel."""
    service = unpack_attributes(unpack_attributes(messages.encode_service(SERVICE))[1])
    flags, mask = struct.unpack("=II", service[7])
    assert (flags, mask) == (0x01, 0xFFFFFFFD)


def test_without_an_engine_none_is_sent() -> None:
    service = messages.encode_service(replace(SERVICE, persistence=Persistence(300)))
    assert 11 not in unpack_attributes(unpack_attributes(service)[1])


def test_unknown_attributes_are_kept_and_make_no_difference() -> None:
    inner = unpack_attributes(messages.encode_destination(SERVER))[2]
    newer = pack_attribute(2, inner + pack_attribute(99, b"new"))
    server, _ = messages.decode_destination(newer, version=4)
    assert server == SERVER
    assert server.unknown == ((99, b"new"),)


def test_a_kernel_without_server_families_means_the_services() -> None:
    inner = unpack_attributes(unpack_attributes(messages.encode_destination(SERVER))[2])
    old = b"".join(pack_attribute(kind, value) for kind, value in inner.items() if kind < 11)
    server, _ = messages.decode_destination(pack_attribute(2, old), version=6)
    assert server == replace(SERVER, tunnel=Tunnel())


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [(3, 7, "forwarding method 7"), (13, 9, "tunnel type 9")],
)
def test_what_has_no_words_is_named(kind: int, value: int, sentence: str) -> None:
    inner = unpack_attributes(messages.encode_destination(SERVER))[2]
    strange = pack_attribute(2, inner + pack_attribute(kind, value.to_bytes(4, sys.byteorder)))
    with pytest.raises(InexpressibleError, match=rf"\[2001:db8:51::21\]:8080 has {sentence}"):
        messages.decode_destination(strange, version=4)


@given(services(), st.data())
def test_a_service_cut_short_is_refused_or_shorter(service: Service, data: st.DataObject) -> None:
    payload = messages.encode_service(service)
    cut = payload[: data.draw(st.integers(0, len(payload) - 4))]
    with pytest.raises(WireError):
        messages.decode_service(cut)


@given(st.binary(max_size=200))
def test_noise_does_no_harm(noise: bytes) -> None:
    for top, decode in (
        (1, messages.decode_service),
        (2, lambda data: messages.decode_destination(data, version=4)),
    ):
        with suppress(WireError, InexpressibleError):
            decode(pack_attribute(top, noise))


ORDER = (1, 2, 3, 4, 13, 14, 15, 5, 6, 7, 8, 9, 11, 10, 12)
"""In which kernels since 5.3 dump a server's attributes (ip_vs_genl_fill_dest)."""


def as_dumped(destination: Destination, counts: list[int]) -> bytes:
    """A server as those kernels dump it; without a tunnel its attributes are there, and 0."""
    told = {13: b"\0", 14: bytes(2), 15: bytes(2), 10: b"", 12: pack_attribute(1, bytes(8))}
    told |= unpack_attributes(unpack_attributes(messages.encode_destination(destination))[2])
    told |= {7 + place: struct.pack("=I", count) for place, count in enumerate(counts)}
    return pack_attribute(2, b"".join(pack_attribute(kind, told[kind]) for kind in ORDER))


def read(payload: bytes, *, traffic: bool) -> object:
    """What is read, but for the traffic, or the error."""
    try:
        server, counters = messages.decode_destination(payload, version=4, traffic=traffic)
    except (WireError, InexpressibleError, ValueError) as error:
        return repr(error)
    return server, server.unknown, replace(counters, traffic=None)


counts = st.lists(st.sampled_from([0, 0, 1, 2**32 - 1]), min_size=3, max_size=3)


@given(st.sampled_from([4, 6]).flatmap(destinations), counts)
def test_the_usual_form_is_read_as_it_is(destination: Destination, found: list[int]) -> None:
    payload = as_dumped(destination, found)
    told = Counters(active=found[0], inactive=found[1], persistent=found[2])
    assert read(payload, traffic=False) == (destination, (), told)
    newer = pack_attribute(2, payload[4:] + pack_attribute(99, b"new"))
    assert read(newer, traffic=False) == (destination, ((99, b"new"),), told)


@given(st.sampled_from([4, 6]).flatmap(destinations), st.integers(0, 119), st.integers(0, 255))
def test_what_is_not_quite_usual_is_read_in_the_general_way(
    destination: Destination, place: int, value: int
) -> None:
    payload = bytearray(as_dumped(destination, [1, 0, 2]))
    payload[place] = value  # before the statistics, which are looked into for the traffic only
    assert read(bytes(payload), traffic=False) == read(bytes(payload), traffic=True)
