"""What this daemon has put into the table is known after a restart, and a broken file is said."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from hadirector import declared
from hadirector.ipvs.model import FirewallMark, Protocol, ServiceKey, VirtualAddress

KEYS: set[ServiceKey] = {
    VirtualAddress(Protocol.TCP, ip_address("192.0.2.100"), 80),
    VirtualAddress(Protocol.UDP, ip_address("2001:db8::1"), 53),
    FirewallMark(7),
    FirewallMark(7, 6),
}


def test_every_kind_of_service_comes_back(tmp_path: Path) -> None:
    declared.remember(tmp_path, KEYS)
    assert declared.recall(tmp_path) == KEYS
    assert declared.is_anything_left(tmp_path)
    declared.remember(tmp_path, [])
    assert declared.recall(tmp_path) == set()
    assert not declared.is_anything_left(tmp_path)


def test_nothing_was_declared_before_the_first_start(tmp_path: Path) -> None:
    assert declared.recall(tmp_path) == set()
    assert not declared.is_anything_left(tmp_path)


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    declared.remember(tmp_path, KEYS)
    assert [path.name for path in tmp_path.iterdir()] == [declared.FILE_NAME]
    assert "fwmark:7 6" in json.loads((tmp_path / declared.FILE_NAME).read_text())


@pytest.mark.parametrize(
    "text", ["", "half a li", "5", '{"a": 1}', "[5]", '["nonsense"]', '["fwmark:7 x"]', "\xff"]
)
def test_a_broken_file_is_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / declared.FILE_NAME).write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"."):
        declared.recall(tmp_path)
    assert declared.is_anything_left(tmp_path)  # for all that is known


def test_an_unreadable_file_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / declared.FILE_NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        declared.recall(tmp_path)
