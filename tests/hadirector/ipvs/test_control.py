"""Time-outs and daemons as the kernel's attributes, and values that cannot be.

What the kernel and ipvsadm make of them is shown in tests/kernel/test_ipvs_settings.py.
"""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadirector.ipvs.control import (
    TIMEOUT_S_MAX,
    SyncDaemon,
    SyncRole,
    Timeouts,
    decode_daemon,
    decode_timeouts,
    set_timeouts,
    start_daemon,
)
from hadirector.ipvs.wire import WireError, pack_attribute

seconds = st.integers(0, TIMEOUT_S_MAX)
daemons = st.builds(
    SyncDaemon,
    role=st.sampled_from(SyncRole),
    interface=st.sampled_from(["lo", "a-name-of-15-by"]),
    sync_id=st.integers(0, 255),
    maxlen=st.integers(0, 65535),
    group=st.sampled_from([ip_address("224.0.0.81"), ip_address("ff02::81")]),
    port=st.integers(1, 65535),
    ttl=st.integers(1, 255),
)


@given(st.builds(Timeouts, tcp_s=seconds, tcp_fin_s=seconds, udp_s=seconds))
def test_timeouts_read_as_written(timeouts: Timeouts) -> None:
    assert decode_timeouts(set_timeouts(timeouts).payload) == timeouts


@given(daemons)
def test_daemons_read_as_written(daemon: SyncDaemon) -> None:
    assert decode_daemon(start_daemon(daemon).payload) == daemon


def test_an_old_kernels_daemon_has_the_defaults() -> None:
    """Before Linux 4.3 a daemon had a role, an interface and an id."""
    old = b"".join(
        (
            pack_attribute(1, b"\2\0\0\0"),
            pack_attribute(2, b"eth0\0"),
            pack_attribute(3, b"\7\0\0\0"),
        )
    )
    found = decode_daemon(pack_attribute(3, old))
    assert found == SyncDaemon(role=SyncRole.BACKUP, interface="eth0", sync_id=7)
    assert str(found) == ("backup sync daemon on eth0, id 7, group 224.0.0.81 port 8848, ttl 1")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        pack_attribute(3, b""),
        pack_attribute(3, pack_attribute(1, b"\7") + pack_attribute(3, b"\1")),
    ],
)
def test_no_daemon(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_daemon(payload)


def test_values_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="time-out"):
        Timeouts(tcp_s=TIMEOUT_S_MAX + 1)
    for wrong in (
        {"interface": ""},
        {"interface": "a-name-of-16-byt"},
        {"group": ip_address("192.0.2.1")},
        {"sync_id": 256},
        {"port": 0},
        {"ttl": 0},
        {"maxlen": 65536},
    ):
        with pytest.raises(ValueError, match=r"."):
            SyncDaemon(role=SyncRole.ACTIVE, **{"interface": "lo", **wrong})  # type: ignore[arg-type]
