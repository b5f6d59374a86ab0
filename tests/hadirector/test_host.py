"""What a host allows, read from captured texts of /proc."""

import pytest

from hadirector.host import CAPABILITIES, in_user_namespace, lacking


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ("Name:\tpytest\nCapEff:\t000001ffffffffff\n", []),
        ("Name:\tpytest\nCapEff:\t00000000a80425fb\n", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
        ("Name:\tpytest\nCapEff:\t0000000000001000\n", ["CAP_NET_RAW", "CAP_SYS_ADMIN"]),
        ("Name:\tpytest\n", list(CAPABILITIES)),
    ],
    ids=["root", "a container's usual set", "net_admin only", "no such line"],
)
def test_capabilities_are_read_from_the_status_of_a_process(
    status: str, missing: list[str]
) -> None:
    assert lacking(status, *CAPABILITIES) == missing


def test_only_the_identity_map_is_the_initial_user_namespace() -> None:
    assert not in_user_namespace("         0          0 4294967295\n")
    assert in_user_namespace("         0       1000          1\n")
    assert not in_user_namespace("")  # a kernel without user namespaces has no such file to read
