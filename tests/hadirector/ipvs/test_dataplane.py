"""Every refusal is told in words: which step, which error, and what it means for that step."""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest

from hadirector.ipvs.dataplane import AppliedReport, Failure
from hadirector.ipvs.model import (
    Destination,
    DestinationKey,
    Entry,
    Forward,
    Persistence,
    Protocol,
    Service,
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

WEB = VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80)
SERVICE = Service(WEB)
SERVER = Destination(DestinationKey(ip_address("198.51.100.21"), 80))
SERVER6 = Destination(DestinationKey(ip_address("2001:db8::21"), 80))
GUE = replace(SERVER, forward=Forward.TUN, tunnel=Tunnel(TunnelType.GUE))


@pytest.mark.parametrize(
    ("step", "code", "told"),
    [
        (AddService(SERVICE), errno.EEXIST, "EEXIST, it is there already"),
        (DeleteService(Entry(SERVICE, {})), errno.ESRCH, "ESRCH, there is no such service"),
        (AddService(SERVICE), errno.ENOENT, "ENOENT, this kernel has no scheduler 'wlc'"),
        (
            SetService(replace(SERVICE, persistence=Persistence(1, engine="sip")), SERVICE),
            errno.ENOENT,
            "no scheduler 'wlc' or no persistence engine 'sip'",
        ),
        (DeleteDestination(WEB, SERVER), errno.ENOENT, "the service has no such server"),
        (AddDestination(WEB, SERVER), errno.ERANGE, "ERANGE, negative weight"),
        (AddDestination(WEB, SERVER6), errno.EINVAL, "reached by tun only"),
        (
            AddDestination(WEB, replace(SERVER6, forward=Forward.TUN)),
            errno.EINVAL,
            "while a sync daemon runs",
        ),
        (SetDestination(WEB, GUE, SERVER), errno.EINVAL, "a gue tunnel needs a port"),
        (AddDestination(WEB, SERVER), errno.EINVAL, "its address is not a unicast one"),
        (AddService(SERVICE), errno.EINVAL, "a property impossible"),
        (AddService(SERVICE), errno.ENOMEM, "ENOMEM, refused by the kernel: cannot allocate"),
        (AddService(SERVICE), 9999, "errno 9999, refused by the kernel: unknown error"),
    ],
)
def test_a_refusal_is_a_sentence(step: Step, code: int, told: str) -> None:
    sentence = str(Failure(step, code))
    assert sentence.startswith(f"could not {step}: ")
    assert told in sentence


def test_the_kernels_own_words_are_added() -> None:
    failure = Failure(AddService(SERVICE), errno.EINVAL, "bad attribute")
    assert str(failure).endswith(" (bad attribute)")


def test_a_report_is_ok_without_failures() -> None:
    assert AppliedReport(3).ok
    assert not AppliedReport(2, (Failure(AddService(SERVICE), errno.EEXIST),)).ok
