"""The values of health checking: bounds that hold, digests that tell checks apart."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from checkers.base import OptionError, Reason, Result, Target
from checkers.check import Check
from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.tcp import TcpOptions
from checkers.timing import Timing

CHECK = Check("web/10.0.0.1", Target(ip_address("10.0.0.1"), 80), TcpOptions())


def test_a_timeout_above_the_interval_names_the_field_to_change() -> None:
    with pytest.raises(
        OptionError, match=r"timeout \(3 s\) is above the interval \(2 s\)"
    ) as error:
        Timing(timeout=3)
    assert error.value.field == "timeout"


def test_targets_are_written_as_in_configurations() -> None:
    assert str(Target(ip_address("10.0.0.1"), 80)) == "10.0.0.1:80"
    assert str(Target(ip_address("2001:db8::1"), 443)) == "[2001:db8::1]:443"


def test_the_port_option_redirects_the_probe_only() -> None:
    check = replace(CHECK, options=TcpOptions(port=8080))
    assert check.endpoint == Target(ip_address("10.0.0.1"), 8080)
    assert check.target.port == 80
    assert check.describe() == "tcp at 10.0.0.1:8080"


def test_a_digest_ignores_the_name_of_a_check() -> None:
    assert replace(CHECK, key="other").digest == CHECK.digest


@pytest.mark.parametrize(
    "other",
    [
        replace(CHECK, target=Target(ip_address("10.0.0.2"), 80)),
        replace(CHECK, target=Target(ip_address("10.0.0.1"), 81)),
        replace(CHECK, timing=Timing(rise=9)),
        replace(CHECK, options=HttpOptions()),
        replace(CHECK, options=HttpsOptions()),
        replace(CHECK, options=HttpOptions(path="/x")),
    ],
    ids=["address", "port", "timing", "kind", "https", "option"],
)
def test_a_digest_changes_with_what_the_check_does(other: Check) -> None:
    assert other.digest != CHECK.digest


def test_a_digest_is_the_same_after_a_restart() -> None:
    assert (
        CHECK.digest == "f17f50270010bce700f6d5b21b4e0c49"
    )  # a constant: state kept under it outlives the process


def test_reasons_name_their_layer() -> None:
    layers = {reason: reason.layer for reason in Reason}
    assert layers[Reason.L4_REFUSED] == "L4"
    assert layers[Reason.TLS] == layers[Reason.TLS_CERTIFICATE] == "TLS"
    assert layers[Reason.L7_STATUS] == "L7"
    assert layers[Reason.SOCKET] == "socket"


def test_two_results_are_equal_whatever_their_transcripts() -> None:
    result = Result(healthy=True, reason=Reason.OK, sentence="fine", latency_ms=1, at=2)
    assert result == replace(result, transcript=("a line",))
