"""A small run of the mutated packets, and that it reaches every rule of the decoder."""

import pytest

from tests.simulation import mutate
from vrrp.packet import Rejection


def test_only_named_errors_come_out_and_every_rule_is_reached() -> None:
    outcomes, unexpected = mutate.portion(7, 30_000)
    assert unexpected is None
    # Unicast peers and what was heard before are no matter of a single packet.
    causes = set(Rejection) - {Rejection.SOURCE, Rejection.REPLAY}
    assert set(outcomes) == {"accepted", *causes}


def test_what_comes_out_otherwise_is_told_with_its_packet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object, __: object) -> None:
        raise IndexError("index out of range")

    monkeypatch.setattr(mutate, "accept", broken)
    _, unexpected = mutate.portion(7, 1000)
    assert unexpected is not None
    assert unexpected.startswith("IndexError('index out of range') from ")
